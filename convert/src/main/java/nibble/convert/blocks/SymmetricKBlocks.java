package nibble.convert.blocks;

import java.nio.ByteBuffer;
import nibble.checkpoint.gguf.GgufType;
import nibble.convert.blocks.Groups.Weighting;
import org.jspecify.annotations.Nullable;

/**
 * Encodes the K types whose groups of 16 have a scale alone: {@code w = d·s·q} with signed integers s and q. Each
 * group's scale is searched ({@link GroupSearch}), then made an integer ({@link BlockScales}).
 */
final class SymmetricKBlocks {
    private static final int GROUPS = 16;

    private static final GroupSearch.Steps STEPS = new GroupSearch.Steps(-0.9f, 0.1f, 19);

    private final int half;
    private final int stride;
    private final float[] scales;
    private final float[] d;
    private final float[] codes;

    private SymmetricKBlocks(
            int half, int halfScale, float[] row, int from, int blocks, float @Nullable [] importance) {
        this.half = half;
        Groups groups = Groups.of(row, from, 16, blocks * GROUPS, 256, Weighting.SQUARE, importance);
        this.stride = groups.stride;
        this.scales = new float[stride];
        this.codes = new float[groups.values.length];
        GroupSearch.symmetric(groups, half, STEPS, scales);
        // The largest scale becomes the most negative integer, which has one more step than the positive ones.
        this.d = BlockScales.steps(groups, scales, GROUPS, -halfScale, halfScale - 1);
        BlockScales.symmetric(groups, d, scales, halfScale, half, codes);
    }

    /** Encodes {@code blocks} blocks of {@code row} from element {@code from} on to {@code at} in {@code b}. */
    static void encode(
            GgufType type, float[] row, int from, int blocks, float @Nullable [] importance, ByteBuffer b, int at) {
        SymmetricKBlocks batch = switch (type) {
            case Q3_K -> new SymmetricKBlocks(4, 32, row, from, blocks, importance);
            case Q6_K -> new SymmetricKBlocks(32, 128, row, from, blocks, importance);
            default -> throw new IllegalArgumentException(type + " has minima");
        };
        for (int block = 0; block < blocks; block++) {
            int to = at + block * type.blockBytes();
            if (type == GgufType.Q3_K) {
                batch.putQ3(block, b, to);
            } else {
                batch.putQ6(block, b, to);
            }
        }
    }

    private void putQ3(int block, ByteBuffer b, int at) {
        int first = GROUPS * block;
        for (int l = 0; l < 32; l++) {
            int mask = 0;
            for (int eighth = 0; eighth < 8; eighth++) {
                mask |= (code(first + 2 * eighth + l / 16, l % 16) >> 2) << eighth;
            }
            b.put(at + l, (byte) mask);
        }
        for (int part = 0; part < 2; part++) {
            for (int l = 0; l < 32; l++) {
                int packed = 0;
                for (int quarter = 0; quarter < 4; quarter++) {
                    packed |= (code(first + 8 * part + 2 * quarter + l / 16, l % 16) & 3) << 2 * quarter;
                }
                b.put(at + 32 + 32 * part + l, (byte) packed);
            }
        }
        for (int i = first; i < first + 8; i++) {
            b.put(at + 96 + i - first, (byte) (scale(i) + 32 & 15 | (scale(i + 8) + 32 & 15) << 4));
        }
        for (int i = 0; i < 4; i++) {
            int high = 0;
            for (int j = 0; j < 4; j++) {
                high |= (scale(first + i + 4 * j) + 32 >> 4) << 2 * j;
            }
            b.put(at + 104 + i, (byte) high);
        }
        b.putShort(at + 108, Float.floatToFloat16(d[first]));
    }

    private void putQ6(int block, ByteBuffer b, int at) {
        int first = GROUPS * block;
        for (int part = 0; part < 2; part++) {
            for (int l = 0; l < 32; l++) {
                int group = first + 8 * part + l / 16;
                int q0 = code(group, l % 16);
                int q1 = code(group + 2, l % 16);
                int q2 = code(group + 4, l % 16);
                int q3 = code(group + 6, l % 16);
                b.put(at + 64 * part + l, (byte) (q0 & 15 | (q2 & 15) << 4));
                b.put(at + 64 * part + 32 + l, (byte) (q1 & 15 | (q3 & 15) << 4));
                b.put(at + 128 + 32 * part + l, (byte) (q0 >> 4 | (q1 >> 4) << 2 | (q2 >> 4) << 4 | (q3 >> 4) << 6));
            }
        }
        for (int group = 0; group < GROUPS; group++) {
            b.put(at + 192 + group, (byte) scale(first + group));
        }
        b.putShort(at + 208, Float.floatToFloat16(d[first]));
    }

    private int scale(int group) {
        return (int) scales[group];
    }

    /** From 0; {@code half} is the weight 0. */
    private int code(int group, int element) {
        return half + (int) codes[element * stride + group];
    }
}
