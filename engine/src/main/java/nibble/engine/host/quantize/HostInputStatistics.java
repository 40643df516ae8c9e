package nibble.engine.host.quantize;

import nibble.engine.backend.Backend;
import nibble.engine.quantize.InputStatistics;
import nibble.engine.tensor.Matrix;

/** Holds statistics with sums of |x| in double on the heap and second moments by the backend. */
public final class HostInputStatistics implements InputStatistics {
    private final Backend backend;
    private final Matrix moment;
    private final double[] absolute;
    private long rows;

    public HostInputStatistics(Backend backend, int columns) {
        this.backend = backend;
        this.moment = backend.allocateSingle(columns, columns);
        this.absolute = new double[columns];
    }

    @Override
    public int columns() {
        return absolute.length;
    }

    @Override
    public void add(Matrix x) {
        backend.addSecondMoment(x, moment);
        float[] values = backend.download(x);
        for (int at = 0; at < values.length; at += absolute.length) {
            for (int i = 0; i < absolute.length; i++) {
                absolute[i] += Math.abs(values[at + i]);
            }
        }
        rows += x.rows();
    }

    /** Does nothing: the backends of the host have no parts. */
    @Override
    public void endPart() {}

    @Override
    public long rows() {
        return rows;
    }

    @Override
    public double[] meanAbsolute() {
        double[] mean = absolute.clone();
        for (int i = 0; i < mean.length; i++) {
            mean[i] /= rows;
        }
        return mean;
    }

    /** Returns {@code C}; owned by this. */
    public Matrix moment() {
        return moment;
    }

    @Override
    public void close() {
        moment.close();
    }
}
