package nibble.engine.host;

import static java.util.stream.Collectors.partitioningBy;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicReference;
import nibble.checkpoint.model.layer.Activation;
import nibble.engine.attention.AttentionShape;
import nibble.engine.attention.RotaryTable;
import nibble.engine.attention.SequencePart;
import nibble.engine.backend.Activations;
import nibble.engine.backend.Decoder;
import nibble.engine.backend.DeviceKind;
import nibble.engine.backend.Extents;
import nibble.engine.backend.GradientOperations;
import nibble.engine.backend.KeyValueCache;
import nibble.engine.backend.TokenScores;
import nibble.engine.backend.Workers;
import nibble.engine.host.natives.Kernels;
import nibble.engine.host.stored.FewRows;
import nibble.engine.host.vector.Cap;
import nibble.engine.host.vector.CausalAttention;
import nibble.engine.host.vector.Centering;
import nibble.engine.host.vector.CrossMoment;
import nibble.engine.host.vector.Mixture;
import nibble.engine.host.vector.RowSource;
import nibble.engine.host.vector.SecondMoment;
import nibble.engine.host.vector.TokenLogProbabilities;
import nibble.engine.tensor.HeadWeights;
import nibble.engine.tensor.LogitRule;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.ModelWeights;
import nibble.engine.tensor.PlacedModel;
import nibble.engine.tensor.Weight;
import nibble.engine.tensor.WeightRows;
import org.jspecify.annotations.Nullable;

/**
 * Computes the operations through the Vector API on all cores, in fp32; weights of any type are unpacked panel by
 * panel. Owns its {@link Workers}.
 */
public final class VectorBackend extends HostBackend {
    /** Numbers of a product that is kept for the next one. */
    private static final int MOST_KEPT = 1 << 20;

    private final Workers workers;
    private final @Nullable Kernels kernels;
    private final AtomicReference<@Nullable HostMatrix> kept = new AtomicReference<>();
    private final HostProducts products;
    private final Elementwise elementwise;
    private final HeadWeights head;

    public VectorBackend(int threads) {
        this(threads, Kernels.ofMachine());
    }

    public VectorBackend(int threads, @Nullable Kernels kernels) {
        this(threads, kernels, HeadWeights.STORED);
    }

    /**
     * Starts the threads.
     *
     * @param kernels of the native library, or null for the Vector API alone
     * @param head form of the heads of models that are placed
     */
    public VectorBackend(int threads, @Nullable Kernels kernels, HeadWeights head) {
        this.head = head;
        this.workers = new Workers(threads);
        this.kernels = kernels;
        this.products = new HostProducts(workers, kernels);
        this.elementwise = new Elementwise(workers, kernels);
    }

    @Override
    Workers workers() {
        return workers;
    }

    @Override
    public String arithmetic() {
        return products.arithmetic() + (head == HeadWeights.INT8 ? ", head in int8" : "");
    }

    @Override
    public PlacedModel place(ModelWeights weights) {
        if (kernels != null) {
            LargePages.request(weights);
        }
        return head == HeadWeights.INT8 ? ByteHead.placed(weights, workers) : super.place(weights);
    }

    @Override
    public DeviceKind kind() {
        return DeviceKind.CPU;
    }

    @Override
    public String description() {
        String none = kernels == null ? ", no native kernels: " + Kernels.whyNone() : "";
        return arithmetic() + ", " + workers.threads() + (workers.threads() == 1 ? " thread" : " threads") + none;
    }

    @Override
    public void embed(Weight embedding, int[] ids, Matrix out) {
        Extents.require("embed", "out", out, ids.length, embedding.inFeatures());
        Extents.ids(embedding, ids);
        float[] to = HostMatrix.values(out);
        int n = out.columns();
        elementwise.forEachRow(ids.length, n, t -> WeightRows.read(embedding, ids[t], 0, n, to, t * n));
    }

    @Override
    public void rmsNorm(Matrix x, float[] weight, double epsilon, Matrix out) {
        Extents.require("rmsNorm", "out", out, x.rows(), x.columns());
        Extents.require("rmsNorm", "x", x, x.rows(), weight.length);
        elementwise.rmsNorm(HostMatrix.values(x), weight, epsilon, HostMatrix.values(out));
    }

    @Override
    public void center(Matrix x, Matrix out) {
        Extents.require("center", "out", out, x.rows(), x.columns());
        float[] from = HostMatrix.values(x);
        float[] to = HostMatrix.values(out);
        int n = x.columns();
        elementwise.forEachRow(x.rows(), n, t -> Centering.row(from, t * n, n, to));
    }

    @Override
    public void rmsNormHeads(Matrix x, float[] weight, double epsilon) {
        Extents.rmsNormHeads(x, weight.length);
        float[] values = HostMatrix.values(x);
        elementwise.rmsNorm(values, weight, epsilon, values);
    }

    @Override
    public void addBias(float[] bias, Matrix into) {
        Extents.require("addBias", "into", into, into.rows(), bias.length);
        elementwise.addToRows(bias, HostMatrix.values(into), into.rows());
    }

    @Override
    public void scale(Matrix x, float factor) {
        float[] values = HostMatrix.values(x);
        elementwise.forEachPiece(values.length, (from, to) -> {
            for (int i = from; i < to; i++) {
                values[i] *= factor;
            }
        });
    }

    @Override
    public void linear(Weight weight, Matrix x, Matrix out) {
        Extents.linear(weight, x, out);
        products.linears(List.of(weight), x, List.of(out));
    }

    /** Adds a product whose room is kept: that of a prompt would be most of the garbage of its layer. */
    @Override
    public void addLinear(Weight weight, Matrix x, Matrix into) {
        Extents.linear(weight, x, into);
        HostMatrix room = kept.getAndSet(null);
        if (room == null || room.rows() != into.rows() || room.columns() != into.columns()) {
            room = HostMatrix.zeros(into.rows(), into.columns());
        }
        products.linears(List.of(weight), x, List.of(room));
        add(room, into);
        if (HostMatrix.values(room).length <= MOST_KEPT) {
            kept.set(room);
        }
    }

    /**
     * Multiplies a generated token's row by short products: those that share an input share one call of the threads,
     * and its preparation.
     */
    @Override
    public void linears(List<Weight> weights, Matrix x, List<Matrix> outs) {
        for (int i = 0; i < weights.size(); i++) {
            Extents.linear(weights.get(i), x, outs.get(i));
        }
        products.linears(weights, x, outs);
    }

    @Override
    public Optional<Decoder> decoder(PlacedModel model, KeyValueCache cache) {
        return kernels == null || !activations().bytes()
                ? Optional.empty()
                : HostDecoder.of(model, cache, workers, kernels);
    }

    @Override
    public int textsTogether() {
        return kernels == null ? FewRows.MOST_ROWS : FewRows.MOST_COMPILED_ROWS;
    }

    @Override
    public boolean gainsByBatching() {
        return kernels != null;
    }

    @Override
    public Activations activations() {
        return kernels == null ? Activations.FP32 : kernels.activations();
    }

    /** Returns whether so many rows are multiplied with a weight as bytes. */
    public boolean multipliesBytes(Weight weight, int rows) {
        return products.multipliesBytes(weight, rows);
    }

    @Override
    public void multiplyTransposed(Matrix a, Matrix b, Matrix out) {
        Extents.require("multiplyTransposed", "b", b, b.rows(), a.columns());
        Extents.require("multiplyTransposed", "out", out, a.rows(), b.rows());
        products.product(a, RowSource.of(HostMatrix.values(b), b.columns()), b.rows(), out);
    }

    @Override
    public void rope(Matrix x, int headDim, RotaryTable table, int sequences, int firstPosition) {
        Extents.rope(x, headDim, table, sequences, firstPosition);
        elementwise.rope(HostMatrix.values(x), x.columns(), headDim, table, x.rows() / sequences, firstPosition);
    }

    @Override
    public void attention(
            AttentionShape shape,
            int sequences,
            Matrix query,
            int firstPosition,
            Matrix keys,
            Matrix values,
            Matrix out) {
        Extents.attention(shape, sequences, query, firstPosition, keys, values, out);
        if (sequences == 1 && kernels != null && attendsNatively(shape, query.rows())) {
            products.attend(kernels, shape, query, firstPosition, keys, values, out);
            return;
        }
        if (sequences == 1) {
            CausalAttention.run(
                    workers,
                    products.panels(),
                    shape,
                    HostMatrix.values(query),
                    query.rows(),
                    firstPosition,
                    HostMatrix.values(keys),
                    HostMatrix.values(values),
                    HostMatrix.values(out));
            return;
        }
        attendApart(shape, sequences, query, firstPosition, keys, values, out);
    }

    /** Computes parts of few queries with the keys in their blocks, all in one call of the threads. */
    @Override
    public void attention(
            AttentionShape shape,
            List<SequencePart.InBlocks> parts,
            Matrix query,
            Matrix keys,
            Matrix values,
            Matrix out) {
        parts.forEach(part -> Extents.attention(shape, part, query, keys, values, out));
        Map<Boolean, List<SequencePart.InBlocks>> few =
                parts.stream().collect(partitioningBy(part -> CausalAttention.isFew(part.rows())));
        CausalAttention.run(
                workers,
                shape,
                few.getOrDefault(true, List.of()),
                HostMatrix.values(query),
                HostMatrix.cached(keys),
                HostMatrix.cached(values),
                HostMatrix.values(out));
        super.attention(shape, few.getOrDefault(false, List.of()), query, keys, values, out);
    }

    /** Only with activations in int8: with those in fp32 the Vector API's rounding stays what it was. */
    private boolean attendsNatively(AttentionShape shape, int queries) {
        return activations().bytes()
                && queries <= FewRows.MOST_ROWS
                && Kernels.attendsTo(shape.headDim())
                && !shape.caps()
                && !shape.hasSinks();
    }

    @Override
    public void mixRows(Matrix products, int[] places, float[] weights, Matrix into) {
        int k = Extents.mixRows(products, places, weights, into);
        float[] from = HostMatrix.values(products);
        float[] to = HostMatrix.values(into);
        int n = into.columns();
        elementwise.forEachRow(into.rows(), n, t -> Mixture.row(from, places, weights, t * k, k, n, to, t * n));
    }

    @Override
    public void glu(Activation activation, Matrix gate, Matrix up, Matrix out) {
        Extents.glu(gate, up, out);
        elementwise.glu(activation, HostMatrix.values(gate), HostMatrix.values(up), HostMatrix.values(out));
    }

    @Override
    public void add(Matrix x, Matrix into) {
        Extents.require("add", "x", x, into.rows(), into.columns());
        elementwise.add(HostMatrix.values(x), HostMatrix.values(into));
    }

    @Override
    public void cap(Matrix x, float most) {
        float[] values = HostMatrix.values(x);
        elementwise.forEachPiece(values.length, (first, end) -> Cap.run(values, first, end, most));
    }

    @Override
    public TokenScores score(Weight head, LogitRule rule, Matrix x, int[] next) {
        Extents.logProbabilities(head, rule, x, next);
        RowSource rows = FewRows.floats(head, kernels);
        return TokenLogProbabilities.run(
                workers,
                products.panels(),
                HostMatrix.values(x),
                head.inFeatures(),
                rows,
                head.outFeatures(),
                rule,
                next);
    }

    @Override
    public void addSecondMoment(Matrix x, Matrix moment) {
        Extents.require("addSecondMoment", "moment", moment, x.columns(), x.columns());
        SecondMoment.add(
                workers, products.panels(), HostMatrix.values(x), x.rows(), x.columns(), HostMatrix.values(moment));
    }

    @Override
    public void subtract(Matrix a, Matrix b, Matrix out) {
        Extents.require("subtract", "b", b, a.rows(), a.columns());
        Extents.require("subtract", "out", out, a.rows(), a.columns());
        float[] left = HostMatrix.values(a);
        float[] right = HostMatrix.values(b);
        float[] to = HostMatrix.values(out);
        elementwise.forEachPiece(to.length, (from, end) -> {
            for (int i = from; i < end; i++) {
                to[i] = left[i] - right[i];
            }
        });
    }

    @Override
    public double squares(Matrix x) {
        float[] values = HostMatrix.values(x);
        int columns = x.columns();
        double[] sums = new double[x.rows()];
        elementwise.forEachRow(
                x.rows(), columns, row -> sums[row] = ErrorNorms.squares(values, row * columns, columns));
        return ErrorNorms.sum(sums);
    }

    @Override
    public void addCrossMoment(Matrix y, Matrix x, Matrix moment) {
        Extents.require("addCrossMoment", "y", y, x.rows(), y.columns());
        Extents.require("addCrossMoment", "moment", moment, y.columns(), x.columns());
        CrossMoment.add(
                workers,
                products.panels(),
                HostMatrix.values(y),
                y.columns(),
                HostMatrix.values(x),
                x.columns(),
                x.rows(),
                HostMatrix.values(moment));
    }

    @Override
    public GradientOperations gradients() {
        return new VectorGradients(this, workers, products);
    }

    @Override
    public void close() {
        workers.close();
    }
}
