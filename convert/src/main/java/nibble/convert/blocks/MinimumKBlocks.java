package nibble.convert.blocks;

import java.nio.ByteBuffer;
import nibble.checkpoint.gguf.GgufType;
import nibble.convert.blocks.Groups.Weighting;
import org.jspecify.annotations.Nullable;

/**
 * Encodes the K types whose groups have a scale and a minimum: {@code w = d·s·q − dmin·m} with small integers s and m.
 * Each group's scale and minimum are searched ({@link GroupSearch}), then made integers ({@link BlockScales}).
 */
final class MinimumKBlocks {
    /** How a type divides its 256 elements. */
    private record Form(int groups, int groupElements, int mostCode, int mostScale) {}

    private static final Form Q2 = new Form(16, 16, 3, 15);
    private static final Form Q4 = new Form(8, 32, 15, 63);
    private static final Form Q5 = new Form(8, 32, 31, 63);

    /**
     * Weights by magnitude hold a group's largest values in place; by importance they may be given up for many others.
     */
    private static final GroupSearch.Steps PLAIN = new GroupSearch.Steps(-1, 0.1f, 21);

    private static final GroupSearch.Steps WEIGHTED = new GroupSearch.Steps(-1.2f, 0.1f, 25);

    private final Form form;
    private final int stride;
    private final float[] scales;
    private final float[] minima;
    private final float[] d;
    private final float[] dmin;
    private final float[] codes;

    private MinimumKBlocks(Form form, float[] row, int from, int blocks, float @Nullable [] importance) {
        this.form = form;
        Groups groups = Groups.of(
                row, from, form.groupElements(), blocks * form.groups(), 256, Weighting.MAGNITUDE, importance);
        this.stride = groups.stride;
        this.scales = new float[stride];
        this.minima = new float[stride];
        this.codes = new float[groups.values.length];
        GroupSearch.withOffset(groups, form.mostCode(), false, importance == null ? PLAIN : WEIGHTED, scales, minima);
        for (int g = 0; g < stride; g++) {
            // How far the smallest value lies below 0; 0 - x so that no minimum is -0.
            minima[g] = 0 - minima[g];
        }
        this.d = BlockScales.steps(groups, scales, form.groups(), 0, form.mostScale());
        this.dmin = BlockScales.steps(groups, minima, form.groups(), 0, form.mostScale());
        BlockScales.withMinimum(groups, d, dmin, scales, minima, form.mostScale(), form.mostCode(), codes);
    }

    /** Encodes {@code blocks} blocks of {@code row} from element {@code from} on to {@code at} in {@code b}. */
    static void encode(
            GgufType type, float[] row, int from, int blocks, float @Nullable [] importance, ByteBuffer b, int at) {
        Form form = switch (type) {
            case Q2_K -> Q2;
            case Q4_K -> Q4;
            case Q5_K -> Q5;
            default -> throw new IllegalArgumentException(type + " has no minima");
        };
        MinimumKBlocks batch = new MinimumKBlocks(form, row, from, blocks, importance);
        for (int block = 0; block < blocks; block++) {
            int to = at + block * type.blockBytes();
            switch (type) {
                case Q2_K -> batch.putQ2(block, b, to);
                case Q4_K -> batch.putQ4(block, b, to);
                default -> batch.putQ5(block, b, to);
            }
        }
    }

    private void putQ2(int block, ByteBuffer b, int at) {
        int first = 16 * block;
        for (int group = 0; group < 16; group++) {
            b.put(at + group, (byte) (scale(first + group) | minimum(first + group) << 4));
        }
        for (int half = 0; half < 2; half++) {
            for (int l = 0; l < 32; l++) {
                int packed = 0;
                for (int quarter = 0; quarter < 4; quarter++) {
                    packed |= code(first + 8 * half + 2 * quarter + l / 16, l % 16) << 2 * quarter;
                }
                b.put(at + 16 + 32 * half + l, (byte) packed);
            }
        }
        b.putShort(at + 80, Float.floatToFloat16(d[first]));
        b.putShort(at + 82, Float.floatToFloat16(dmin[first]));
    }

    private void putQ4(int block, ByteBuffer b, int at) {
        putHead(block, b, at);
        putNibbles(block, b, at + 16);
    }

    private void putQ5(int block, ByteBuffer b, int at) {
        putHead(block, b, at);
        for (int l = 0; l < 32; l++) {
            int high = 0;
            for (int group = 0; group < 8; group++) {
                high |= (code(8 * block + group, l) >> 4) << group;
            }
            b.put(at + 16 + l, (byte) high);
        }
        putNibbles(block, b, at + 48);
    }

    /** d, dmin, and eight scales and minima of 6 bits in 12 bytes. */
    private void putHead(int block, ByteBuffer b, int at) {
        int first = 8 * block;
        b.putShort(at, Float.floatToFloat16(d[first]));
        b.putShort(at + 2, Float.floatToFloat16(dmin[first]));
        for (int j = first; j < first + 4; j++) {
            int to = at + 4 + j - first;
            b.put(to, (byte) (scale(j) | (scale(j + 4) >> 4) << 6));
            b.put(to + 4, (byte) (minimum(j) | (minimum(j + 4) >> 4) << 6));
            b.put(to + 8, (byte) (scale(j + 4) & 15 | (minimum(j + 4) & 15) << 4));
        }
    }

    private void putNibbles(int block, ByteBuffer b, int at) {
        for (int pair = 0; pair < 4; pair++) {
            int group = 8 * block + 2 * pair;
            for (int l = 0; l < 32; l++) {
                b.put(at + 32 * pair + l, (byte) (code(group, l) & 15 | (code(group + 1, l) & 15) << 4));
            }
        }
    }

    private int scale(int group) {
        return (int) scales[group];
    }

    private int minimum(int group) {
        return (int) minima[group];
    }

    private int code(int group, int element) {
        return (int) codes[element * stride + group];
    }
}
