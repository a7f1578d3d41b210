"""Crane's DSP forecast, written from its published algorithm, as a contender of the forecast bench.

Contract: the same steps as `pkg/prediction/dsp` of gocrane/crane. History is a regular series; what lies before a gap
of more than an hour is discarded, smaller gaps are interpolated, values beyond the 0.1 and 99.9 percentiles are
replaced by the one before. A period of exactly a week, else of exactly a day, is accepted if it is a peak of the
periodogram above what shuffled samples reach and the highest peak of the autocorrelation. The estimate of the next
period is the last one without the small high frequencies (FFT), plus a margin; the margin and the number of
frequencies are those that forecast the last period best, with errors below counted more. It is refitted every twelve
hours, and in between nothing is corrected.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DAY_SECONDS: Final = 86_400
WEEK_SECONDS: Final = 7 * DAY_SECONDS
REFIT_SECONDS: Final = 12 * 3600
LONGEST_GAP_SECONDS: Final = 3600
HISTORY_SECONDS: Final = 2 * WEEK_SECONDS
"""As much as Spillway's goal has; Crane's own default is a week, with which it could never find a weekly period."""
_SHUFFLES: Final = 100
_PEAK_SECONDS: Final = 4 * 3600
_HIGH_FREQUENCY: Final = 1 / 3600
_MOST_ITEMS: Final = 100
_LEAST_VALUE: Final = 0.01
_TOO_SMALL: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Estimator:
    """The last period without the frequencies that are both high and small."""

    least_items: int
    low_amplitude: float
    margin: float

    def estimate(self, signal: Floats, step: float, period: int) -> Floats:
        """The next period."""
        spectrum = np.fft.rfft(signal)
        amplitude = np.abs(spectrum) / signal.size
        frequency = np.arange(spectrum.size) / (signal.size * step)
        falling = np.sort(amplitude[1 : signal.size // 2])[::-1]
        least = max(falling[min(_MOST_ITEMS, falling.size) - 1], self.low_amplitude)
        if falling.size >= self.least_items:
            least = min(least, falling[self.least_items - 1])
        spectrum[(amplitude < least) & (frequency > _HIGH_FREQUENCY)] = 0
        smooth = np.fft.irfft(spectrum, signal.size)[-period:]
        return np.asarray(np.where(smooth <= 0, _LEAST_VALUE, smooth) * (1 + self.margin))


ESTIMATORS: Final = tuple(
    Estimator(items, low, margin) for items, low in ((3, 1.0), (50, 0.05)) for margin in (0.01, 0.10, 0.15, 0.20)
)


def continuous(values: Floats, step: float) -> Floats:
    """What Crane keeps of a series on a regular grid, with nan for missing samples."""
    known = np.flatnonzero(np.isfinite(values))
    if not known.size:
        return np.empty(0)
    wide = np.flatnonzero(np.diff(known) * step > LONGEST_GAP_SECONDS)
    first = known[wide[-1] + 1] if wide.size else known[0]
    known = known[known >= first]
    whole = np.interp(np.arange(first, known[-1] + 1), known, values[known])
    low, high = np.percentile(whole, (0.1, 99.9))
    odd = (whole > high) | (whole < low)
    odd[0] = False
    source = np.maximum.accumulate(np.where(odd, 0, np.arange(whole.size)))
    return np.asarray(whole[source])


def period_of(signal: Floats, step: float, random: np.random.Generator) -> float:
    """The period in seconds, or -1 if none is found."""
    size = signal.size
    if float(signal.std()) == 0:
        return -1.0
    half = size // 2
    highest = np.sort([np.abs(np.fft.rfft(random.permutation(signal)))[1:half].max() for _ in range(_SHUFFLES)])
    power = np.abs(np.fft.rfft(signal))[:half]
    hints = sorted({size // k for k in range(2, half) if power[k] > highest[_SHUFFLES - 2]}, reverse=True)
    normal = (signal - signal.mean()) / signal.std()
    correlation = np.fft.irfft(np.abs(np.fft.rfft(normal)) ** 2, size) / size
    reach = int(_PEAK_SECONDS / step)
    peaks = [hint for hint in hints if _is_peak(correlation, hint, min(reach, hint // 2)) and correlation[hint] > 0]
    return float(int(max(peaks, key=lambda hint: correlation[hint]) * step)) if peaks else -1.0


def _is_peak(values: Floats, at: int, reach: int) -> bool:
    """Whether straight lines through both sides rise towards it."""
    if not 1 <= at <= values.size - 1:
        return False
    left, right = values[max(0, at - reach) : at + 1], values[at : min(values.size - 1, at + reach) + 1]
    return _slope(left) > 0 > _slope(right)


def _slope(values: Floats) -> float:
    if values.size < 2:
        return 0.0
    x = np.arange(values.size) - (values.size - 1) / 2
    return float(x @ (values - values.mean()))


def error_of(actual: Floats, forecast: Floats) -> float:
    """The mean relative error, with errors below amplified; the mean absolute one where demand is nearly 0."""
    if float(actual.min()) < _TOO_SMALL:
        return float(np.abs(actual - forecast).mean())
    relative = (actual - forecast) / actual
    with np.errstate(invalid="ignore"):
        return float(np.where(relative > 0, -np.log1p(-relative) / np.log(1.25), -relative).mean())


def next_period(values: Floats, step: float, random: np.random.Generator) -> Floats | None:
    """The forecast of the steps after these values, for one period; None if they are not periodic."""
    signal = continuous(values, step)
    for period_seconds in (WEEK_SECONDS, DAY_SECONDS):
        period = int(period_seconds / step)
        count = signal.size // period
        if count < 2:
            continue
        cut = signal[signal.size - count * period :]
        if period_of(cut, step, random) != period_seconds:
            continue
        history, actual = cut[:-period], cut[-period:]
        best = min(ESTIMATORS, key=lambda one: error_of(actual, one.estimate(history, step, period)))
        return best.estimate(cut, step, period)
    return None


def forecasts(values: Floats, step: float, *, seed: int = 0) -> list[tuple[int, Floats]]:
    """The forecasts of a rolling origin: the index of the first step that each is about, in order, and its values."""
    random = np.random.default_rng(seed)
    every, longest = int(REFIT_SECONDS / step), int(HISTORY_SECONDS / step)
    found = []
    for origin in range(every, values.size + 1, every):
        known = values[max(0, origin - longest) : origin]
        forecast = next_period(known, step, random)
        # A trailing gap moves the first step that the forecast is about; Crane's timestamps follow the last sample.
        last = int(np.flatnonzero(np.isfinite(known))[-1]) if np.isfinite(known).any() else known.size - 1
        begin = origin - known.size + last + 1
        found.append((begin, forecast if forecast is not None else np.empty(0)))
    return found
