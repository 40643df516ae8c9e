package nibble.engine.host.stored;

import java.lang.ref.Reference;
import nibble.checkpoint.gguf.GgufBlocks;
import nibble.checkpoint.gguf.GgufType;
import nibble.engine.host.vector.Lanes;
import nibble.engine.host.vector.RowSource;
import nibble.engine.tensor.BlockWeight;
import nibble.engine.tensor.Weight;
import nibble.engine.tensor.WeightRows;
import org.jspecify.annotations.Nullable;

/** Rows of GGUF blocks made floats by vectors, with the bits that {@link nibble.checkpoint.gguf.BlockDecoder} gives. */
interface BlockFloats {
    /** Makes the floats of {@code count} blocks that lie one after another. */
    void decode(long at, int count, float[] into, int offset);

    /** Returns the decoder of a type, or null where nothing does for this machine's vectors. */
    static @Nullable BlockFloats of(GgufType type) {
        if (Lanes.COUNT < 8) {
            return null;
        }
        return switch (type) {
            case Q4_0 -> new Block32Floats(18, 2, -8, false);
            case Q4_1 -> new Block32Floats(20, 4, 0, false);
            case Q5_0 -> new Block32Floats(22, 6, -16, true);
            case Q5_1 -> new Block32Floats(24, 8, 0, true);
            case Q8_0 -> new Q8Floats();
            case Q2_K -> new Q2KFloats();
            case Q3_K -> new Q3KFloats();
            case Q4_K -> new Q45KFloats(false);
            case Q5_K -> new Q45KFloats(true);
            case Q6_K -> new Q6KFloats();
            case IQ4_NL -> Lanes.COUNT == 16 ? new Iq4Floats(false) : null;
            case IQ4_XS -> Lanes.COUNT == 16 ? new Iq4Floats(true) : null;
            case MXFP4 -> new MxFloats();
            default -> null;
        };
    }

    /** Returns the rows of a weight, by vectors where its form allows that. */
    static RowSource rows(Weight weight) {
        if (weight instanceof BlockWeight(String _, GgufBlocks blocks)
                && blocks.data().isNative()) {
            BlockFloats floats = of(blocks.type());
            if (floats != null) {
                return rows(weight, blocks, floats);
            }
        }
        return (row, column, count, into, offset) -> WeightRows.read(weight, row, column, count, into, offset);
    }

    private static RowSource rows(Weight weight, GgufBlocks blocks, BlockFloats floats) {
        int elements = blocks.type().blockElements();
        int bytes = blocks.type().blockBytes();
        return (row, column, count, into, offset) -> {
            if (column % elements != 0 || count % elements != 0) {
                WeightRows.read(weight, row, column, count, into, offset);
                return;
            }
            long address = Stored.require(blocks.data(), blocks.rows() * blocks.rowBytes());
            long at = address + blocks.offset(row) + (long) (column / elements) * bytes;
            floats.decode(at, count / elements, into, offset);
            Reference.reachabilityFence(blocks);
        };
    }
}
