package nibble.pack.layout;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import nibble.checkpoint.gguf.GgufBlocks;
import nibble.checkpoint.gguf.GgufType;
import nibble.pack.QuantizedLinear;

/**
 * Writes symmetric 8-bit codes as blocks of GGUF's Q8_0, which have a scale for 32 signed bytes: the same numbers, with
 * a group's scale once for each of its blocks.
 */
public final class ByteBlocks {
    private static final int BLOCK = 32;
    private static final int BLOCK_BYTES = Short.BYTES + BLOCK;
    private static final int BITS = 8;
    /** The zero of symmetric codes, as a byte. */
    private static final byte MIDDLE = (byte) 128;

    private ByteBlocks() {}

    /** Returns whether blocks hold a linear exactly: 8 bits, whole blocks in its groups, all zeros in the middle. */
    public static boolean holds(QuantizedLinear linear) {
        return linear.bits() == BITS && linear.groupSize() % BLOCK == 0 && CompressedTensorsLayout.isSymmetric(linear);
    }

    /** Returns the same of a linear in a file. */
    public static boolean holds(StoredCodes codes) {
        if (codes.bits() != BITS || codes.inFeatures() / codes.groups() % BLOCK != 0) {
            return false;
        }
        if (codes.zeros().byteSize() == 0) {
            return true;
        }
        for (int row = 0; row < codes.outFeatures(); row++) {
            for (int group = 0; group < codes.groups(); group++) {
                if ((byte) codes.zero(row, group) != MIDDLE) {
                    return false;
                }
            }
        }
        return true;
    }

    /** Writes the blocks of a row of a linear that they {@linkplain #holds hold}. */
    public static void row(QuantizedLinear linear, int row, ByteBuffer buffer) {
        ByteBuffer into = buffer.order(ByteOrder.LITTLE_ENDIAN);
        byte[] codes = linear.codes();
        int first = row * linear.inFeatures();
        for (int column = 0; column < linear.inFeatures(); column += BLOCK) {
            into.putShort(linear.scales()[row * linear.groups() + column / linear.groupSize()]);
            for (int i = first + column; i < first + column + BLOCK; i++) {
                into.put((byte) (codes[i] ^ MIDDLE));
            }
        }
    }

    /** Returns the blocks of a linear that they {@linkplain #holds hold}, on the heap. */
    public static GgufBlocks of(QuantizedLinear linear) {
        int rows = linear.outFeatures();
        int columns = linear.inFeatures();
        byte[] blocks = new byte[Math.toIntExact((long) rows * columns / BLOCK * BLOCK_BYTES)];
        ByteBuffer into = ByteBuffer.wrap(blocks);
        for (int row = 0; row < rows; row++) {
            row(linear, row, into);
        }
        return new GgufBlocks(GgufType.Q8_0, MemorySegment.ofArray(blocks), rows, columns, 0);
    }
}
