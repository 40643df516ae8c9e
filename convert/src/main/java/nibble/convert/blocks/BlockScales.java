package nibble.convert.blocks;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * Second level of the K types: the scales (and minima) of a block's groups as small integers times one fp16 step. The
 * step is searched for the least weighted error of the scales; then each group takes those integers next to its own
 * that leave its values the least weighted error, which are not always the nearest ones.
 */
final class BlockScales {
    private static final VectorSpecies<Float> LANES = Groups.LANES;

    /**
     * Steps tried for a block: the largest scale divided into {@code most} and up to so many tenths more or fewer
     * parts.
     */
    private static final int TENTHS = 9;

    /** Changes of a group's integers that are tried, none first: what comes later must be better. */
    private static final int[] NEAR = {0, -1, 1};

    private BlockScales() {}

    /**
     * The fp16 steps of all blocks, as floats, one for each group.
     *
     * @param exact a scale for each group
     * @param least the smallest integer: 0, or the negative one that the largest scale becomes
     * @param most the largest integer
     */
    static float[] steps(Groups groups, float[] exact, int groupsOfBlock, int least, int most) {
        float[] weight = new float[groups.stride];
        for (int row = 0; row < groups.weights.length; row += groups.stride) {
            for (int g = 0; g < groups.stride; g++) {
                weight[g] += groups.weights[row + g];
            }
        }
        float[] steps = new float[groups.stride];
        for (int first = 0; first < groups.count; first += groupsOfBlock) {
            float step = step(exact, weight, first, groupsOfBlock, least, most);
            java.util.Arrays.fill(
                    steps, first, first + groupsOfBlock, Float.float16ToFloat(Float.floatToFloat16(step)));
        }
        return steps;
    }

    private static float step(float[] exact, float[] weight, int first, int count, int least, int most) {
        float largest = 0;
        for (int g = first; g < first + count; g++) {
            largest = Math.abs(exact[g]) > Math.abs(largest) ? exact[g] : largest;
        }
        if (largest == 0) {
            return 0;
        }
        int parts = least < 0 ? least : most;
        float best = largest / parts;
        float taken = -1;
        for (int tenths = -TENTHS; tenths <= TENTHS; tenths++) {
            float inverse = (parts + 0.1f * tenths) / largest;
            float wne = 0;
            float wnn = 0;
            for (int g = first; g < first + count; g++) {
                float n = Math.clamp(GroupSearch.round(exact[g] * inverse), least, most);
                wne += weight[g] * n * exact[g];
                wnn += weight[g] * n * n;
            }
            if (wnn > 0 && wne * (wne / wnn) > taken) {
                taken = wne * (wne / wnn);
                best = wne / wnn;
            }
        }
        return best;
    }

    /**
     * Integers and codes of groups with a minimum: {@code x ≈ d·scale·q − dmin·minimum}.
     *
     * @param scale exact ones; their integers afterwards
     * @param minimum exact ones; their integers afterwards
     * @param codes takes a code of each value, in the order of {@link Groups#values}
     */
    static void withMinimum(
            Groups groups,
            float[] d,
            float[] dmin,
            float[] scale,
            float[] minimum,
            int mostScale,
            int mostCode,
            float[] codes) {
        for (int g = 0; g < groups.stride; g += LANES.length()) {
            FloatVector step = FloatVector.fromArray(LANES, d, g);
            FloatVector minimumStep = FloatVector.fromArray(LANES, dmin, g);
            FloatVector s0 = integers(FloatVector.fromArray(LANES, scale, g), step, 0, mostScale);
            FloatVector m0 = integers(FloatVector.fromArray(LANES, minimum, g), minimumStep, 0, mostScale);
            FloatVector bestScale = s0;
            FloatVector bestMinimum = m0;
            FloatVector least = FloatVector.broadcast(LANES, Float.POSITIVE_INFINITY);
            for (int ds : NEAR) {
                FloatVector s = s0.add(ds).max(0f).min(mostScale);
                for (int dm : NEAR) {
                    FloatVector m = m0.add(dm).max(0f).min(mostScale);
                    FloatVector error = error(groups, g, step.mul(s), minimumStep.mul(m), 0, mostCode);
                    VectorMask<Float> better = error.compare(VectorOperators.LT, least);
                    least = least.blend(error, better);
                    bestScale = bestScale.blend(s, better);
                    bestMinimum = bestMinimum.blend(m, better);
                }
            }
            bestScale.intoArray(scale, g);
            bestMinimum.intoArray(minimum, g);
            codes(groups, g, step.mul(bestScale), minimumStep.mul(bestMinimum), 0, mostCode, codes);
        }
    }

    /** The same for groups with a scale alone, whose integers and codes have signs: {@code x ≈ d·scale·q}. */
    static void symmetric(Groups groups, float[] d, float[] scale, int halfScale, int half, float[] codes) {
        FloatVector zero = FloatVector.zero(LANES);
        for (int g = 0; g < groups.stride; g += LANES.length()) {
            FloatVector step = FloatVector.fromArray(LANES, d, g);
            FloatVector s0 = integers(FloatVector.fromArray(LANES, scale, g), step, -halfScale, halfScale - 1);
            FloatVector bestScale = s0;
            FloatVector least = FloatVector.broadcast(LANES, Float.POSITIVE_INFINITY);
            for (int ds : NEAR) {
                FloatVector s = s0.add(ds).max(-halfScale).min(halfScale - 1);
                FloatVector error = error(groups, g, step.mul(s), zero, -half, half - 1);
                VectorMask<Float> better = error.compare(VectorOperators.LT, least);
                least = least.blend(error, better);
                bestScale = bestScale.blend(s, better);
            }
            bestScale.intoArray(scale, g);
            codes(groups, g, step.mul(bestScale), zero, -half, half - 1, codes);
        }
    }

    private static FloatVector integers(FloatVector exact, FloatVector step, int least, int most) {
        FloatVector inverse = inverse(step);
        return exact.mul(inverse).max(least).min(most).add(GroupSearch.ROUNDER).sub(GroupSearch.ROUNDER);
    }

    /** 1/x, and 0 for 0. */
    private static FloatVector inverse(FloatVector x) {
        return FloatVector.broadcast(LANES, 1f).div(x).blend(FloatVector.zero(LANES), x.compare(VectorOperators.EQ, 0));
    }

    private static FloatVector error(
            Groups groups, int g, FloatVector scale, FloatVector minimum, int least, int most) {
        FloatVector inverse = inverse(scale);
        FloatVector error = FloatVector.zero(LANES);
        for (int i = g; i < groups.values.length; i += groups.stride) {
            FloatVector x = FloatVector.fromArray(LANES, groups.values, i).add(minimum);
            FloatVector weight = FloatVector.fromArray(LANES, groups.weights, i);
            FloatVector off = x.sub(code(x, inverse, least, most).mul(scale));
            error = weight.mul(off).fma(off, error);
        }
        return error;
    }

    private static FloatVector code(FloatVector x, FloatVector inverse, int least, int most) {
        return x.mul(inverse).max(least).min(most).add(GroupSearch.ROUNDER).sub(GroupSearch.ROUNDER);
    }

    static void codes(
            Groups groups, int g, FloatVector scale, FloatVector minimum, int least, int most, float[] codes) {
        FloatVector inverse = inverse(scale);
        for (int i = g; i < groups.values.length; i += groups.stride) {
            FloatVector x = FloatVector.fromArray(LANES, groups.values, i).add(minimum);
            code(x, inverse, least, most).intoArray(codes, i);
        }
    }
}
