package nibble.convert.blocks;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import nibble.pack.QuantizedLinear;

/**
 * Writes a 4-bit linear as Q4_1 blocks with the codes and scales it has: {@code (q − z)·s = s·q + m} with {@code m =
 * −z·s}. Only m is rounded, to fp16; a group of 128 becomes four blocks.
 */
public final class ExactQ4 {
    private static final int BLOCK = 32;

    private final QuantizedLinear linear;

    public ExactQ4(QuantizedLinear linear) {
        this.linear = linear;
    }

    public void row(long row, byte[] into) {
        ByteBuffer out = ByteBuffer.wrap(into).order(ByteOrder.LITTLE_ENDIAN);
        int r = Math.toIntExact(row);
        for (int column = 0; column < linear.inFeatures(); column += BLOCK) {
            int cell = r * linear.groups() + column / linear.groupSize();
            int at = column / BLOCK * 20;
            short scale = linear.scales()[cell];
            out.putShort(at, scale);
            out.putShort(at + 2, Float.floatToFloat16(-linear.zeros()[cell] * Float.float16ToFloat(scale)));
            for (int i = 0; i < 16; i++) {
                out.put(at + 4 + i, (byte) (linear.code(r, column + i) | linear.code(r, column + 16 + i) << 4));
            }
        }
    }
}
