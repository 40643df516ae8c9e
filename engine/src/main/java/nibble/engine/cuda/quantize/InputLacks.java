package nibble.engine.cuda.quantize;

import nibble.engine.cuda.fit.FitMoment;

/**
 * Holds the moments of an input on one card, ready for fits.
 *
 * @param moment C in a basis, with its factor
 * @param behind whether N is of what outputs lack, not inputs
 * @param first address of the first half's N
 * @param second of the second half's
 * @param tokens of either half
 */
public record InputLacks(FitMoment moment, boolean behind, long first, long second, long[] tokens) {
    long address(int half) {
        return half == 0 ? first : second;
    }
}
