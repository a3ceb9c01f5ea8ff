import ij.ImagePlus;
import ij.io.Opener;
import ij.measure.Calibration;
import ij.process.ImageProcessor;
import java.io.DataOutputStream;
import java.io.FileOutputStream;

/** Opens movies as ImageJ and Fiji do: MOVIE PIXELS pairs; prints axes and scales, writes big-endian float32. */
class OpenWithImageJ {
    public static void main(String[] arguments) throws Exception {
        for (int pair = 0; pair < arguments.length; pair += 2) {
            open(arguments[pair], arguments[pair + 1]);
        }
    }

    static void open(String path, String pixels) throws Exception {
        ImagePlus movie = new Opener().openImage(path);
        Calibration scale = movie.getCalibration();
        System.out.printf("%d %d %d %d %d %s %s %s %s%n", movie.getNChannels(), movie.getNSlices(), movie.getNFrames(),
            movie.getHeight(), movie.getWidth(), scale.frameInterval, scale.pixelHeight, scale.pixelWidth,
            scale.getUnit().replace("\u00b5", "u"));
        try (DataOutputStream out = new DataOutputStream(new FileOutputStream(pixels))) {
            for (int n = 1; n <= movie.getStackSize(); n++) {
                ImageProcessor frame = movie.getStack().getProcessor(n);
                for (int pixel = 0; pixel < frame.getPixelCount(); pixel++) {
                    out.writeFloat(frame.getf(pixel));
                }
            }
        }
    }
}
