package nibble.engine.host;

import java.util.List;
import java.util.function.IntConsumer;
import nibble.checkpoint.model.layer.Activation;
import nibble.engine.attention.AttentionShape;
import nibble.engine.backend.AttentionPass;
import nibble.engine.backend.GradientExtents;
import nibble.engine.backend.LayerOperations;
import nibble.engine.backend.Parameter;
import nibble.engine.backend.PlacedCodes;
import nibble.engine.backend.Workers;
import nibble.engine.host.vector.AttentionGradient;
import nibble.engine.host.vector.Divergence;
import nibble.engine.host.vector.GluGradient;
import nibble.engine.host.vector.RmsNormGradient;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Weight;
import nibble.engine.tensor.WeightRows;
import nibble.pack.QuantizedLinear;
import org.jspecify.annotations.Nullable;

/** The operations of a backward pass through the Vector API, in fp32. Borrows its workers; of one thread. */
final class VectorGradients extends HostGradients {
    /** Rows of a norm that one task sums the gain's gradient over. */
    private static final int ROWS_PER_TASK = 64;

    private static final int ELEMENTS_PER_TASK = 1 << 14;
    private static final float GELU_LINEAR = (float) (2 * Math.sqrt(2 / Math.PI));
    private static final float GELU_CUBIC = (float) (2 * Math.sqrt(2 / Math.PI) * 0.044715);

    private final Workers workers;
    private final HostProducts products;
    /** The gradient of a whole weight, [out, in], before it is summed over groups. */
    private float[] whole = new float[0];

    VectorGradients(LayerOperations layers, Workers workers, HostProducts products) {
        super(layers);
        this.workers = workers;
        this.products = products;
    }

    @Override
    void forEachRow(int rows, IntConsumer task) {
        workers.forEach(rows, task);
    }

    @Override
    public void linears(List<Weight> weights, List<Matrix> dys, Matrix dx) {
        GradientExtents.linears(weights, dys, dx);
        for (int i = 0; i < weights.size(); i++) {
            Weight weight = weights.get(i);
            products.byColumns(
                    HostMatrix.values(dys.get(i)),
                    dx.rows(),
                    weight.outFeatures(),
                    (row, column, count, into, offset) -> WeightRows.read(weight, row, column, count, into, offset),
                    dx.columns(),
                    HostMatrix.values(dx),
                    i > 0);
        }
    }

    @Override
    public void addScales(PlacedCodes placed, Matrix dy, Matrix x, Parameter scales, @Nullable Parameter positions) {
        GradientExtents.scales(placed, dy, x, scales, positions);
        QuantizedLinear codes = HostCodes.of(placed);
        float[] into = HostParameter.sums(scales);
        float[] numbers = HostParameter.numbers(scales);
        float[] toPositions = positions == null ? new float[0] : HostPositions.sums(positions);
        int out = codes.outFeatures();
        int in = codes.inFeatures();
        int size = Math.multiplyExact(out, in);
        if (whole.length < size) {
            whole = new float[size];
        }
        products.crossMoment(HostMatrix.values(dy), out, HostMatrix.values(x), in, x.rows(), whole);
        workers.forEach(out, row -> {
            addGroups(codes, row, into);
            if (positions != null) {
                addScaled(codes, row, numbers, toPositions);
            }
        });
    }

    private void addGroups(QuantizedLinear codes, int row, float[] into) {
        byte[] pairs = codes.codes();
        int at = row * codes.inFeatures();
        for (int group = 0; group < codes.groups(); group++) {
            int cell = row * codes.groups() + group;
            int zero = codes.zero(cell);
            float sum = 0;
            if (codes.codesPerByte() == 1) {
                for (int i = 0; i < codes.groupSize(); i++, at++) {
                    sum += whole[at] * ((pairs[at] & 0xff) - zero);
                }
            } else {
                for (int i = 0; i < codes.groupSize(); i += 2, at += 2) {
                    int pair = pairs[at >> 1];
                    sum += whole[at] * ((pair & 15) - zero) + whole[at + 1] * ((pair >> 4 & 15) - zero);
                }
            }
            into[cell] += sum;
        }
    }

    /** Adds a row of the weight's gradient, times its scales. */
    private void addScaled(QuantizedLinear codes, int row, float[] scales, float[] into) {
        int at = row * codes.inFeatures();
        for (int group = 0; group < codes.groups(); group++) {
            float scale = scales[row * codes.groups() + group];
            for (int i = 0; i < codes.groupSize(); i++, at++) {
                into[at] += scale * whole[at];
            }
        }
    }

    @Override
    public void addRmsNorm(Matrix x, Parameter gain, double epsilon, Matrix dy, Matrix dx) {
        GradientExtents.norm(x, gain, dy, dx);
        norm(x, gain, epsilon, dy, HostMatrix.values(dx), true);
    }

    @Override
    public void rmsNormHeadsBack(Matrix x, Parameter gain, double epsilon, Matrix gradient) {
        GradientExtents.heads(x, gain, gradient);
        norm(x, gain, epsilon, gradient, HostMatrix.values(gradient), false);
    }

    private void norm(Matrix x, Parameter gain, double epsilon, Matrix dy, float[] dx, boolean accumulate) {
        float[] weight = HostParameter.numbers(gain);
        float[] dWeight = HostParameter.sums(gain);
        int n = weight.length;
        float[] in = HostMatrix.values(x);
        float[] gradient = HostMatrix.values(dy);
        int rows = in.length / n;
        int tasks = (rows + ROWS_PER_TASK - 1) / ROWS_PER_TASK;
        float[] partial = new float[tasks * n];
        workers.forEach(tasks, task -> {
            float[] product = new float[n];
            for (int row = task * ROWS_PER_TASK; row < Math.min(rows, (task + 1) * ROWS_PER_TASK); row++) {
                RmsNormGradient.row(in, row * n, weight, epsilon, gradient, dx, accumulate, product, partial, task * n);
            }
        });
        for (int i = 0; i < n; i++) {
            double sum = dWeight[i];
            for (int task = 0; task < tasks; task++) {
                sum += partial[task * n + i];
            }
            dWeight[i] = (float) sum;
        }
    }

    @Override
    public void attention(AttentionShape shape, int sequences, AttentionPass pass) {
        pass.check(shape, sequences);
        workers.forEach(
                sequences * shape.kvHeads(),
                task -> AttentionGradient.run(
                        shape,
                        pass.query().rows() / sequences,
                        task,
                        HostMatrix.values(pass.query()),
                        HostMatrix.values(pass.keys()),
                        HostMatrix.values(pass.values()),
                        HostMatrix.values(pass.out()),
                        HostMatrix.values(pass.dOut()),
                        HostMatrix.values(pass.dQuery()),
                        HostMatrix.values(pass.dKeys()),
                        HostMatrix.values(pass.dValues())));
    }

    @Override
    public void glu(Activation activation, Matrix gate, Matrix up, Matrix dOut, Matrix dGate, Matrix dUp) {
        GradientExtents.glu(gate, up, dOut, dGate, dUp);
        if (!activation.isLinearInUp()) {
            throw new IllegalArgumentException("gradient of " + activation);
        }
        boolean silu = activation == Activation.SILU;
        float linear = silu ? 1 : GELU_LINEAR;
        float cubic = silu ? 0 : GELU_CUBIC;
        float[] g = HostMatrix.values(gate);
        float[] u = HostMatrix.values(up);
        float[] from = HostMatrix.values(dOut);
        float[] toGate = HostMatrix.values(dGate);
        float[] toUp = HostMatrix.values(dUp);
        workers.forEach((g.length + ELEMENTS_PER_TASK - 1) / ELEMENTS_PER_TASK, task -> {
            int first = task * ELEMENTS_PER_TASK;
            int end = Math.min(g.length, first + ELEMENTS_PER_TASK);
            GluGradient.run(linear, cubic, g, u, from, toGate, toUp, first, end);
        });
    }

    @Override
    public double divergence(Weight head, float cap, Matrix original, Matrix x, float factor, @Nullable Matrix dx) {
        GradientExtents.divergence(head, original, x, dx);
        return Divergence.run(
                workers,
                products,
                HostMatrix.values(original),
                HostMatrix.values(x),
                x.columns(),
                (row, column, count, into, offset) -> WeightRows.read(head, row, column, count, into, offset),
                head.outFeatures(),
                factor,
                cap,
                dx == null ? new float[0] : HostMatrix.values(dx));
    }
}
