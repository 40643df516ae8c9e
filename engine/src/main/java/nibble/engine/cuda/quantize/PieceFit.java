package nibble.engine.cuda.quantize;

import java.util.List;
import nibble.engine.cuda.fit.CudaFit;
import nibble.engine.quantize.Basis;
import nibble.engine.quantize.FitSteps;
import nibble.pack.QuantizedLinear;

/** Fits a linear, or those of its rows that are one card's. Owns what the fit needs. */
public final class PieceFit implements AutoCloseable {
    private final CudaLinearQuantizer linear;
    private final OutputLacks lacks;
    private final CudaFit fit;

    /**
     * Prepares a fit.
     *
     * @param plain takes plain rounding's scales, those of all rows of the linear
     * @throws nibble.checkpoint.source.BadCheckpointException if one of these does not fit fp16
     */
    public PieceFit(CudaLinearQuantizer linear, Basis basis, InputLacks input, FitSteps steps, short[] plain) {
        this.linear = linear;
        linear.plainScales(basis, plain);
        this.lacks = new OutputLacks(
                linear.owner, input, linear.weight, linear.firstRow, linear.rows, linear.in, linear.chunk);
        this.fit = new CudaFit(
                input.moment(), lacks, steps, linear.spec, linear.weight, linear.rows, basis.columns(), linear.chunk);
    }

    /** Does what {@link CudaFit#solve} does. */
    public List<double[]> solve() {
        return fit.solve();
    }

    /** Does what {@link CudaFit#run} does, into all rows of the linear. */
    public List<CudaFit.Piece> run(double share, QuantizedLinear whole) {
        return fit.run(share, whole, linear.firstRow);
    }

    @Override
    public void close() {
        fit.close();
        lacks.close();
    }
}
