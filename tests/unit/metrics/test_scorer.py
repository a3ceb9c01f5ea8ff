"""The movie scorer: one pass, bounded memory, the same bits however it is run."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from evaluation.metrics import (
    STUDY_PROTOCOL,
    MovieScorer,
    ScoreProtocol,
    as_study_uint16,
    fit_microssim,
    psnr,
    score_movie,
    si_psnr,
    ssim,
)
from evaluation.metrics.workers import ordered_map

OWN = ScoreProtocol(data_range=300.0, cast=None, every=4)


def fed(target, noisy, block, threads=1, protocol=OWN):
    fit = fit_microssim(target, noisy, every=protocol.every, cast=protocol.cast, threads=threads)
    scorer = MovieScorer(protocol, microssim=fit, threads=threads)
    for start in range(0, len(target), block):
        scorer.feed(target[start : start + block], noisy[start : start + block])
    return scorer.scores()


def same_bits(one, other):
    for column in one.frames.__slots__:
        np.testing.assert_array_equal(getattr(one.frames, column), getattr(other.frames, column))
    return (one.snr, one.regression, one.temporal_correlation, one.target_noise) == (
        other.snr,
        other.regression,
        other.temporal_correlation,
        other.target_noise,
    )


def test_the_table_holds_the_frame_metrics_in_order(movies):
    target, noisy = movies()
    ours = fed(target, noisy, block=5).frames
    pairs = list(zip(target, noisy, strict=True))
    assert ours.psnr.tolist() == [psnr(*pair, 300.0) for pair in pairs]
    assert ours.si_psnr.tolist() == [si_psnr(*pair) for pair in pairs]
    assert ours.ssim.tolist() == [ssim(*pair, 300.0) for pair in pairs]
    fit = fit_microssim(target, noisy, every=4, cast=None)
    assert ours.microssim.tolist() == [fit.score(*pair) for pair in pairs]


def test_scores_have_the_same_bits_for_every_number_of_threads_and_every_block(movies):
    target, noisy = movies(frames=23)
    expected = fed(target, noisy, block=23)
    for block, threads in ((1, 1), (7, 2), (23, 4)):
        assert same_bits(fed(target, noisy, block=block, threads=threads), expected)
    assert same_bits(score_movie(target, noisy, OWN, threads=2), expected)


@pytest.mark.slow
def test_scores_have_the_same_bits_for_every_number_of_blas_threads():
    program = (
        "import numpy as np; from evaluation.metrics import ssim; g = np.random.default_rng(0);"
        "print(ssim(g.random((700, 1300)), g.random((700, 1300)), 1.0).hex())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"OPENBLAS_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2")
    }
    assert len(outputs) == 1


def test_the_study_protocol_casts_both_movies(movies):
    # Offset removed, so that noise goes below zero and wraps as it did in the study.
    target, noisy = (movie - 500 for movie in movies(frames=11))
    expected = fed(as_study_uint16(target), as_study_uint16(noisy), 4, protocol=STUDY_PROTOCOL)
    assert same_bits(score_movie(target, noisy, STUDY_PROTOCOL), expected)
    assert (
        expected.frames.psnr.mean()
        < score_movie(target, noisy, ScoreProtocol(data_range=65535.0, cast=None, every=10)).frames.psnr.mean()
    )


def test_the_study_protocol_fits_microssim_to_every_10th_frame(movies):
    # MOUSENEU_LP_EVALUATION.ipynb, cell 3, commit 50970a3 of the study: fit on [::10]
    target, noisy = movies(frames=21)
    fits = {every: fit_microssim(target, noisy, every=every, cast=as_study_uint16) for every in (1, 9, 10, 11)}
    of_every = {
        every: [fit.score(*map(as_study_uint16, pair)) for pair in zip(target, noisy, strict=True)]
        for every, fit in fits.items()
    }
    ours = score_movie(target, noisy, STUDY_PROTOCOL).frames.microssim.tolist()
    assert [every for every, scores in of_every.items() if scores == ours] == [10]


def test_movie_scores_equal_numpy(movies):
    target, noisy = movies()
    ours = fed(target, noisy, block=5)
    pixels = zip(target.reshape(12, -1).T, noisy.reshape(12, -1).T, strict=True)
    expected = np.mean([np.corrcoef(*pair)[0, 1] for pair in pixels])
    assert ours.temporal_correlation == pytest.approx(expected, abs=1e-6)
    assert ours.target_noise == pytest.approx(np.mean(np.diff(target, axis=0) ** 2) / 2, rel=1e-12)


def test_without_a_fit_the_microssim_column_is_nan(movies):
    target, noisy = movies(frames=2)
    scorer = MovieScorer(OWN, microssim=None)
    scorer.feed(target[:, :8, :8], noisy[:, :8, :8])
    assert np.isnan(scorer.scores().frames.microssim).all()


def test_a_constant_prediction_is_scored_without_a_warning(movies):
    target, _ = movies()
    ours = score_movie(target, np.full_like(target, 600), OWN)
    assert np.isnan(ours.frames.si_psnr).all()
    assert np.isfinite(ours.frames.psnr).all()
    assert np.isfinite(ours.frames.microssim).all()
    assert np.isnan(ours.temporal_correlation)
    assert ours.regression.gain == pytest.approx(0, abs=1e-9)


def test_a_block_may_be_reused_by_the_caller(movies):
    target, noisy = movies()
    expected = fed(target, noisy, block=12)
    scorer = MovieScorer(OWN, microssim=fit_microssim(target, noisy, every=4, cast=None))
    block = np.empty((2, 3, *target.shape[1:]))
    for start in range(0, 12, 3):
        block[0], block[1] = target[start : start + 3], noisy[start : start + 3]
        scorer.feed(*block)
        block[:] = -1
    assert same_bits(scorer.scores(), expected)


@pytest.mark.slow
def test_memory_of_the_scorer_does_not_grow_with_the_movie(movies):
    target, noisy = movies(frames=8, height=90, width=100)
    fit = fit_microssim(target, noisy, every=4, cast=None)

    def peak(blocks):
        tracemalloc.start()
        scorer = MovieScorer(OWN, microssim=fit)
        for _ in range(blocks):
            scorer.feed(target, noisy)
        scorer.scores()
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(2)
    # The table itself: a few hundred bytes per frame.
    assert peak(40) - peak(10) < 240 * 1000


def test_blocks_of_unequal_shape_are_refused(movies):
    target, noisy = movies()
    with pytest.raises(ValueError, match="target and prediction: expected two blocks of equal shape"):
        MovieScorer(OWN, microssim=None).feed(target, noisy[:-1])


def test_ordered_map_reads_only_a_few_items_ahead():
    taken = []

    def items():
        for item in range(100):
            taken.append(item)
            yield item

    results = ordered_map(lambda item: item * 2, items(), 3)
    assert next(results) == 0
    assert len(taken) <= 7
    assert list(results) == list(range(2, 200, 2))


def test_ordered_map_needs_a_thread():
    with pytest.raises(ValueError, match="threads: expected at least 1"):
        list(ordered_map(abs, [1], 0))
