package nibble.convert.blocks;

import java.nio.ByteBuffer;
import nibble.checkpoint.gguf.GgufType;
import nibble.convert.blocks.Groups.Weighting;

/**
 * Encodes the types of 32 elements by a search weighted by importance. Without importance they are plain formulas, in
 * {@link BlockEncoder}.
 */
final class WeightedBlocks {
    private static final GroupSearch.Steps STEPS = new GroupSearch.Steps(-1.2f, 0.1f, 25);

    private WeightedBlocks() {}

    /** Encodes {@code blocks} blocks of {@code row} from element {@code from} on to {@code at} in {@code b}. */
    static void encode(GgufType type, float[] row, int from, int blocks, float[] importance, ByteBuffer b, int at) {
        boolean fifthBits = type == GgufType.Q5_0 || type == GgufType.Q5_1;
        boolean signed = type == GgufType.Q4_0 || type == GgufType.Q5_0;
        int codes = fifthBits ? 32 : 16;
        // The mean square is taken of a whole row there; of some blocks around would do as well.
        Groups groups = Groups.of(row, from, 32, blocks, importance.length, Weighting.MAGNITUDE, importance);
        float[] scale = new float[groups.stride];
        float[] offset = new float[groups.stride];
        if (signed) {
            GroupSearch.symmetric(groups, codes / 2, STEPS, scale);
        } else {
            GroupSearch.withOffset(groups, codes - 1, true, STEPS, scale, offset);
        }
        int[] found = new int[32];
        for (int block = 0; block < blocks; block++) {
            int to = at + block * type.blockBytes();
            short d = Float.floatToFloat16(scale[block]);
            short m = Float.floatToFloat16(offset[block]);
            float step = Float.float16ToFloat(d);
            float inverse = step == 0 ? 0 : 1 / step;
            float zero = signed ? codes / 2 : -Float.float16ToFloat(m) * inverse;
            for (int i = 0; i < 32; i++) {
                float q = groups.values[i * groups.stride + block] * inverse + zero;
                found[i] = (int) GroupSearch.round(Math.clamp(q, 0, codes - 1));
            }
            b.putShort(to, d);
            if (!signed) {
                b.putShort(to + 2, m);
            }
            BlockEncoder.put(found, fifthBits, b, signed ? to + 2 : to + 4);
        }
    }
}
