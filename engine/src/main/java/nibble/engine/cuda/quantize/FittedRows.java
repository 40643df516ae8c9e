package nibble.engine.cuda.quantize;

import java.util.List;
import nibble.engine.cuda.fit.CudaFit;
import nibble.engine.quantize.Fitted;
import nibble.pack.QuantizedLinear;

/** Puts a fitted linear together from what its pieces of rows leave, in the order of the rows. */
public final class FittedRows {
    private FittedRows() {}

    /**
     * Makes a fitted linear of its rounded rows.
     *
     * @param plain scales of plain rounding
     * @param rounded {@code e C eᵀ} of plain rounding of each row, as a sum over tokens
     */
    public static Fitted of(
            QuantizedLinear fitted,
            short[] plain,
            double[] rounded,
            long tokens,
            double share,
            List<CudaFit.Piece> pieces) {
        double roundedLoss = 0;
        for (double row : rounded) {
            roundedLoss += row;
        }
        double loss = 0;
        double error = 0;
        double size = 0;
        double sweeps = 0;
        for (CudaFit.Piece piece : pieces) {
            loss += piece.loss();
            error += piece.error();
            size += piece.size();
            sweeps += (double) piece.sweeps() * piece.rows() / fitted.outFeatures();
        }
        double narrowed = 0;
        double range = 0;
        for (int i = 0; i < plain.length; i++) {
            double ratio = Float.float16ToFloat(fitted.scales()[i]) / Float.float16ToFloat(plain[i]);
            narrowed += ratio < 1 ? 1.0 / plain.length : 0;
            range += Math.min(1, ratio) / plain.length;
        }
        return new Fitted(
                fitted, loss, roundedLoss / tokens, size == 0 ? 0 : error / size, narrowed, range, share, sweeps);
    }
}
