import java.io.FileOutputStream;
import loci.common.DebugTools;
import loci.common.services.ServiceFactory;
import loci.formats.FormatTools;
import loci.formats.ImageReader;
import loci.formats.meta.IMetadata;
import loci.formats.services.OMEXMLService;
import loci.formats.tiff.TiffParser;
import ome.units.UNITS;
import ome.units.quantity.Length;
import ome.units.quantity.Time;

/** Opens movies by Bio-Formats, Fiji's reader of OME files: MOVIE PIXELS pairs; prints axes, scales and validity. */
class OpenWithBioFormats {
    public static void main(String[] arguments) throws Exception {
        DebugTools.setRootLevel("OFF");
        for (int pair = 0; pair < arguments.length; pair += 2) {
            open(arguments[pair], arguments[pair + 1]);
        }
    }

    static void open(String path, String pixels) throws Exception {
        OMEXMLService service = new ServiceFactory().getInstance(OMEXMLService.class);
        IMetadata said = service.createOMEXMLMetadata();
        try (ImageReader reader = new ImageReader(); FileOutputStream out = new FileOutputStream(pixels);
                TiffParser own = new TiffParser(path)) {
            reader.setMetadataStore(said);
            reader.setId(path);
            Time interval = said.getPixelsTimeIncrement(0);
            Length height = said.getPixelsPhysicalSizeY(0);
            Length width = said.getPixelsPhysicalSizeX(0);
            System.out.printf("%d %d %d %d %d %s %s %s %s %s %b%n", reader.getSizeC(), reader.getSizeZ(),
                reader.getSizeT(), reader.getSizeY(), reader.getSizeX(),
                interval == null ? null : interval.value(UNITS.SECOND),
                height == null ? null : height.value(UNITS.MICROMETER),
                width == null ? null : width.value(UNITS.MICROMETER), reader.getFormat(),
                FormatTools.getPixelTypeString(reader.getPixelType()), service.validateOMEXML(own.getComment()));
            for (int n = 0; n < reader.getImageCount(); n++) {
                out.write(reader.openBytes(n));
            }
        }
    }
}
