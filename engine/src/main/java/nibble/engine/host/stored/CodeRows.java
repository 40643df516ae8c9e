package nibble.engine.host.stored;

import static nibble.engine.host.vector.Lanes.COUNT;
import static nibble.engine.host.vector.Lanes.FLOATS;

import java.lang.ref.Reference;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import nibble.engine.host.vector.Lanes;
import nibble.pack.layout.StoredCodes;

/**
 * Codes by rows, two to a byte (compressed-tensors): the low nibble of byte j is the code of column 2j.
 *
 * <pre>
 * Σ_k x[k] w[k]  =  Σ_group scale (Σ_j x[j] code[j]  −  zero Σ_j x[j])
 * </pre>
 *
 * <p>{@code (code − zero) · scale} is not rounded to fp16, as in {@link AwqColumns}.
 */
final class CodeRows implements RowKernel {
    private final StoredCodes codes;
    private final int groups;
    private final int groupSize;
    private final int rowsPerPiece;

    /** @param codes by rows, in groups of a multiple of 32 columns */
    CodeRows(StoredCodes codes) {
        this.codes = codes;
        this.groups = codes.groups();
        this.groupSize = codes.inFeatures() / groups;
        this.rowsPerPiece = Math.max(1, PIECE_WEIGHTS / codes.inFeatures());
    }

    @Override
    public int inputs() {
        return codes.inFeatures();
    }

    @Override
    public int pieces(int count) {
        return (codes.outFeatures() + rowsPerPiece - 1) / rowsPerPiece;
    }

    /** Returns of each 32 of x the even ones, then the odd ones divided by 16; then the sum of each group. */
    @Override
    public float[] prepare(float[] x, int offset) {
        int columns = codes.inFeatures();
        float[] prepared = new float[columns + groups];
        for (int k = 0; k < columns; k += 2) {
            int to = k / 32 * 32 + k % 32 / 2;
            prepared[to] = x[offset + k];
            prepared[to + 16] = x[offset + k + 1] * Stored.HIGH_NIBBLE;
        }
        for (int group = 0; group < groups; group++) {
            prepared[columns + group] = Stored.sum(x, offset + group * groupSize, groupSize);
        }
        return prepared;
    }

    @Override
    public void run(int piece, float[] x, float[] out, int offset) {
        int columns = codes.inFeatures();
        long address = Stored.require(codes.codes(), (long) codes.outFeatures() * (columns / 2));
        int end = Math.min(codes.outFeatures(), (piece + 1) * rowsPerPiece);
        for (int row = piece * rowsPerPiece; row < end; row++) {
            FloatVector sum = FloatVector.zero(FLOATS);
            float zeros = 0;
            for (int group = 0; group < groups; group++) {
                float scale = Float.float16ToFloat(codes.scale(row, group));
                long at = address + (long) row * (columns / 2) + group * (groupSize / 2);
                sum = group(at, x, group * groupSize).fma(FloatVector.broadcast(FLOATS, scale), sum);
                zeros = Math.fma(scale * codes.zero(row, group), x[columns + group], zeros);
            }
            out[offset + row] = Lanes.sum(sum) - zeros;
        }
        Reference.reachabilityFence(codes);
    }

    private FloatVector group(long at, float[] x, int k) {
        FloatVector low = FloatVector.zero(FLOATS);
        FloatVector high = low;
        for (int i = 0; i < groupSize; i += 32) {
            for (int j = 0; j < 16; j += COUNT) {
                IntVector pairs = Stored.unsigned(at + i / 2 + j);
                low = Stored.floats(pairs.and(0x0f)).fma(FloatVector.fromArray(FLOATS, x, k + i + j), low);
                high = Stored.floats(pairs.and(0xf0)).fma(FloatVector.fromArray(FLOATS, x, k + i + 16 + j), high);
            }
        }
        return low.add(high);
    }
}
