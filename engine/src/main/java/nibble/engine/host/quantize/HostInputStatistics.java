package nibble.engine.host.quantize;

import nibble.engine.backend.Backend;
import nibble.engine.quantize.InputStatistics;
import nibble.engine.quantize.SavedMoment;
import nibble.engine.tensor.Matrix;

/** Holds statistics with sums of |x| in double on the heap and second moments by the backend. */
public final class HostInputStatistics implements InputStatistics {
    private final Backend backend;
    private final Matrix moment;
    private final double[] absolute;
    private long rows;

    public HostInputStatistics(Backend backend, int columns) {
        this(backend, backend.allocateSingle(columns, columns), new double[columns], 0);
    }

    private HostInputStatistics(Backend backend, Matrix moment, double[] absolute, long rows) {
        this.backend = backend;
        this.moment = moment;
        this.absolute = absolute;
        this.rows = rows;
    }

    /** Makes statistics that were saved, to the last bit. */
    public static HostInputStatistics of(Backend backend, SavedMoment saved) {
        int columns = saved.columns();
        float[] whole = new float[Math.multiplyExact(columns, columns)];
        int at = 0;
        for (int row = 0; row < columns; row++) {
            for (int column = row; column < columns; column++, at++) {
                whole[row * columns + column] = saved.triangle()[at];
                whole[column * columns + row] = saved.triangle()[at];
            }
        }
        return new HostInputStatistics(
                backend,
                backend.uploadSingle(whole, columns, columns),
                saved.absolute().clone(),
                saved.rows());
    }

    @Override
    public SavedMoment save() {
        int columns = absolute.length;
        float[] whole = backend.download(moment);
        float[] triangle = new float[Math.toIntExact((long) columns * (columns + 1) / 2)];
        int at = 0;
        for (int row = 0; row < columns; row++) {
            System.arraycopy(whole, row * columns + row, triangle, at, columns - row);
            at += columns - row;
        }
        return new SavedMoment(rows, absolute.clone(), triangle);
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
