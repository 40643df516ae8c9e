package nibble.convert.blocks;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * Searches the scale, and the offset where a type has one, of each of many groups: for each of several steps between
 * values the codes are rounded, scale and offset are fitted to them by weighted least squares, and the pair of least
 * weighted error stays. A lane is a group.
 */
final class GroupSearch {
    private static final VectorSpecies<Float> LANES = Groups.LANES;

    /** 1.5 * 2^23: adding and subtracting it rounds small numbers to the nearest integer, halves to the even one. */
    static final float ROUNDER = 12582912f;

    /**
     * Steps to try, as the number of codes that the range is divided into.
     *
     * @param first added to the largest code
     * @param by from one to the next
     */
    record Steps(float first, float by, int count) {}

    private GroupSearch() {}

    /**
     * {@code x ≈ scale·q + offset} with q from 0 to {@code most}.
     *
     * @param signed whether offsets above 0 are allowed
     * @param scale takes a scale of each group, at least 0; as {@code offset} of length {@link Groups#stride}
     */
    static void withOffset(Groups groups, int most, boolean signed, Steps steps, float[] scale, float[] offset) {
        for (int g = 0; g < groups.stride; g += LANES.length()) {
            withOffset(groups, g, most, signed, steps, scale, offset);
        }
    }

    private static void withOffset(
            Groups groups, int g, int most, boolean signed, Steps steps, float[] scale, float[] offset) {
        FloatVector zero = FloatVector.zero(LANES);
        FloatVector low = signed ? FloatVector.broadcast(LANES, Float.POSITIVE_INFINITY) : zero;
        FloatVector high = FloatVector.broadcast(LANES, Float.NEGATIVE_INFINITY);
        for (int i = g; i < groups.values.length; i += groups.stride) {
            FloatVector x = FloatVector.fromArray(LANES, groups.values, i);
            low = low.min(x);
            high = high.max(x);
        }
        FloatVector range = high.sub(low);
        // From here on x is counted from low: small differences of large numbers would lose their digits.
        FloatVector w = zero;
        FloatVector wy = zero;
        FloatVector wyy = zero;
        for (int i = g; i < groups.values.length; i += groups.stride) {
            FloatVector y = FloatVector.fromArray(LANES, groups.values, i).sub(low);
            FloatVector weight = FloatVector.fromArray(LANES, groups.weights, i);
            w = w.add(weight);
            wy = weight.fma(y, wy);
            wyy = weight.mul(y).fma(y, wyy);
        }
        VectorMask<Float> flat = range.compare(VectorOperators.LE, 0);
        FloatVector bestScale = range.div(most).blend(zero, flat);
        FloatVector bestOffset = low;
        FloatVector least = FloatVector.broadcast(LANES, Float.POSITIVE_INFINITY);
        for (int step = 0; step < steps.count(); step++) {
            float codes = most + steps.first() + step * steps.by();
            FloatVector inverse = FloatVector.broadcast(LANES, codes).div(range).blend(zero, flat);
            FloatVector wq = zero;
            FloatVector wqq = zero;
            FloatVector wqy = zero;
            for (int i = g; i < groups.values.length; i += groups.stride) {
                FloatVector y = FloatVector.fromArray(LANES, groups.values, i).sub(low);
                FloatVector weight = FloatVector.fromArray(LANES, groups.weights, i);
                FloatVector q = y.mul(inverse).min(most).add(ROUNDER).sub(ROUNDER);
                FloatVector weighted = weight.mul(q);
                wq = wq.add(weighted);
                wqq = weighted.fma(q, wqq);
                wqy = weighted.fma(y, wqy);
            }
            FloatVector determinant = w.mul(wqq).sub(wq.mul(wq));
            FloatVector s = w.mul(wqy).sub(wy.mul(wq)).div(determinant);
            FloatVector o = wqq.mul(wy).sub(wq.mul(wqy)).div(determinant);
            if (!signed) {
                // An offset above 0 has no form: the best scale with none.
                VectorMask<Float> above = o.add(low).compare(VectorOperators.GT, 0);
                o = o.blend(low.neg(), above);
                s = s.blend(low.fma(wq, wqy).div(wqq), above);
            }
            // wyy + s²·wqq + o²·w + 2·s·o·wq − 2·s·wqy − 2·o·wy
            FloatVector error = s.mul(wqq)
                    .add(o.mul(wq).sub(wqy).mul(2f))
                    .mul(s)
                    .add(o.mul(w).sub(wy.mul(2f)).mul(o))
                    .add(wyy);
            VectorMask<Float> better = error.compare(VectorOperators.LT, least)
                    .and(s.compare(VectorOperators.GT, 0))
                    .andNot(flat);
            least = least.blend(error, better);
            bestScale = bestScale.blend(s, better);
            bestOffset = bestOffset.blend(o.add(low), better);
        }
        bestScale.intoArray(scale, g);
        bestOffset.intoArray(offset, g);
    }

    /**
     * {@code x ≈ scale·q} with q from {@code -half} to {@code half - 1}; scales of either sign.
     *
     * @param scale takes a scale of each group
     */
    static void symmetric(Groups groups, int half, Steps steps, float[] scale) {
        for (int g = 0; g < groups.stride; g += LANES.length()) {
            symmetric(groups, g, half, steps, scale);
        }
    }

    private static void symmetric(Groups groups, int g, int half, Steps steps, float[] scale) {
        FloatVector zero = FloatVector.zero(LANES);
        FloatVector low = zero;
        FloatVector high = zero;
        for (int i = g; i < groups.values.length; i += groups.stride) {
            FloatVector x = FloatVector.fromArray(LANES, groups.values, i);
            low = low.min(x);
            high = high.max(x);
        }
        // The value of largest magnitude becomes the most negative code, which has one more step than the positive
        // ones.
        FloatVector largest = high.blend(low, low.neg().compare(VectorOperators.GE, high));
        VectorMask<Float> none = largest.compare(VectorOperators.EQ, 0);
        FloatVector bestScale = largest.div(-half);
        FloatVector most = FloatVector.broadcast(LANES, -1f);
        for (int step = 0; step < steps.count(); step++) {
            float codes = half + steps.first() + step * steps.by();
            FloatVector inverse =
                    FloatVector.broadcast(LANES, -codes).div(largest).blend(zero, none);
            FloatVector wqx = zero;
            FloatVector wqq = zero;
            for (int i = g; i < groups.values.length; i += groups.stride) {
                FloatVector x = FloatVector.fromArray(LANES, groups.values, i);
                FloatVector weight = FloatVector.fromArray(LANES, groups.weights, i);
                FloatVector q =
                        x.mul(inverse).max(-half).min(half - 1).add(ROUNDER).sub(ROUNDER);
                FloatVector weighted = weight.mul(q);
                wqx = weighted.fma(x, wqx);
                wqq = weighted.fma(q, wqq);
            }
            // What the best scale, wqx / wqq, takes from the weighted error.
            FloatVector s = wqx.div(wqq);
            FloatVector taken = wqx.mul(s);
            VectorMask<Float> better = taken.compare(VectorOperators.GT, most).and(wqq.compare(VectorOperators.GT, 0));
            most = most.blend(taken, better);
            bestScale = bestScale.blend(s, better);
        }
        bestScale.blend(zero, none).intoArray(scale, g);
    }

    /** Nearest integer of a small number, halves to the even one. */
    static float round(float x) {
        return x + ROUNDER - ROUNDER;
    }
}
