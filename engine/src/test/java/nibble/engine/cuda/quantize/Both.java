package nibble.engine.cuda.quantize;

import java.util.Random;
import nibble.engine.backend.Workers;
import nibble.engine.cuda.CudaBackend;
import nibble.engine.host.HostLinearQuantizer;
import nibble.engine.host.ReferenceBackend;
import nibble.engine.host.quantize.HostInputStatistics;
import nibble.engine.quantize.Basis;
import nibble.engine.quantize.InputStatistics;
import nibble.engine.quantize.LinearQuantizer;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.LayerFeed;
import nibble.engine.tensor.Matrix;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;

/** A linear of both backends with statistics of its input. */
final class Both implements AutoCloseable {
    final CudaBackend backend = CudaQuantizerTest.open();
    final Workers workers = new Workers(2);
    final ReferenceBackend reference = new ReferenceBackend();
    final float[] weights;
    final int rows;
    final int in;
    final LayerFeed feed;
    final LinearQuantizer device;
    final HostLinearQuantizer host;
    final InputStatistics onDevice;
    final HostInputStatistics onHost;
    final double[] moment;

    Both(int rows, int in, QuantizationSpec spec, Random random) {
        this.rows = rows;
        this.in = in;
        weights = CudaQuantizerTest.halves(random, rows * in, 0.02);
        DenseWeight weight = DenseWeight.of("w", weights, rows, in);
        DenseWeight other = DenseWeight.of("other", new float[64], 8, 8);
        DecoderLayer layer =
                new DecoderLayer(new float[8], weight, weight, weight, other, new float[8], other, other, other);
        feed = backend.feed(_ -> layer, 1);
        device = backend.quantizer(feed.layer(0).q(), weight, CudaQuantizerTest.FILE, spec);
        host = new HostLinearQuantizer(weight, CudaQuantizerTest.FILE, spec, reference, workers);
        onDevice = backend.statistics(in);
        onHost = new HostInputStatistics(reference, in);
        moment = new double[in * in];
        for (int part = 0; part < 3; part++) {
            int tokens = 40 + part;
            float[] x = CudaQuantizerTest.inputs(random, tokens, in);
            try (Matrix a = backend.upload(x, tokens, in);
                    Matrix b = reference.upload(x, tokens, in)) {
                onDevice.add(a);
                onHost.add(b);
            }
            if (part != 1) {
                onDevice.endPart();
            }
            add(x, tokens);
        }
    }

    void add(float[] x, int tokens) {
        workers.forEach(in, i -> {
            for (int t = 0; t < tokens; t++) {
                double value = x[t * in + i];
                for (int j = 0; j < in; j++) {
                    moment[i * in + j] += value * x[t * in + j];
                }
            }
        });
    }

    /**
     * What fp16 in E and in C can make of {@code e C eᵀ}: two operands of e, one of C, relative to the sum of
     * sizes.
     */
    double[] bounds(Basis basis, QuantizationSpec spec, float[] limits) {
        double[] bounds = new double[rows];
        QuantizedLinear rounded = host.quantize(basis, limits);
        workers.forEach(rows, row -> {
            float[] e = new float[in];
            rounded.dequantize(row, e, 0);
            for (int i = 0; i < in; i++) {
                double value = e[i];
                value *= basis.rows() == null ? 1 : basis.rows()[row];
                value /= basis.columns() == null ? 1 : basis.columns()[i];
                e[i] = (float) Math.abs(value - weights[row * in + i]);
            }
            double sizes = 0;
            for (int i = 0; i < in; i++) {
                for (int j = 0; j < in; j++) {
                    sizes += e[i] * Math.abs(moment[i * in + j]) * e[j];
                }
            }
            bounds[row] = 3.5 * CudaQuantizerTest.HALF * sizes;
        });
        return bounds;
    }

    @Override
    public void close() {
        device.close();
        onDevice.close();
        onHost.close();
        feed.close();
        backend.close();
        workers.close();
    }
}
