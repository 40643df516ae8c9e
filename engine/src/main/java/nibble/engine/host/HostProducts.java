package nibble.engine.host;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import nibble.engine.attention.AttentionShape;
import nibble.engine.backend.Activations;
import nibble.engine.backend.Workers;
import nibble.engine.host.natives.Inputs;
import nibble.engine.host.natives.Kernels;
import nibble.engine.host.natives.PanelSource;
import nibble.engine.host.natives.TileGemm;
import nibble.engine.host.stored.ByteTiles;
import nibble.engine.host.stored.FewRows;
import nibble.engine.host.vector.Addition;
import nibble.engine.host.vector.CrossMoment;
import nibble.engine.host.vector.Divergence;
import nibble.engine.host.vector.Gemm;
import nibble.engine.host.vector.Gemv;
import nibble.engine.host.vector.Lanes;
import nibble.engine.host.vector.PanelKernel;
import nibble.engine.host.vector.RowGemm;
import nibble.engine.host.vector.RowSource;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Weight;
import org.jspecify.annotations.Nullable;

/** Chooses the kernels for products, by the form of the weights, the number of rows and the processor. */
final class HostProducts implements Divergence.Products {
    private final Workers workers;
    private final @Nullable Kernels kernels;
    private final PanelKernel panels;
    private final Activations activations;
    private final TileGemm tiles = new TileGemm();
    private final @Nullable ByteTiles byteTiles;
    /** Of gradients, whose operations one thread calls. */
    private float[] scratch = new float[0];

    HostProducts(Workers workers, @Nullable Kernels kernels) {
        this.workers = workers;
        this.kernels = kernels;
        this.panels = kernels == null ? PanelKernel.vectors() : kernels.panels();
        this.activations = kernels == null ? Activations.FP32 : kernels.activations();
        this.byteTiles = kernels != null && kernels.multipliesManyBytes() ? new ByteTiles(kernels) : null;
    }

    /** Returns the kernel of products in fp32. */
    PanelKernel panels() {
        return panels;
    }

    /** Returns what results depend on. */
    String arithmetic() {
        String vectors = "cpu: Vector API, " + Lanes.bits() + "-bit vectors";
        return kernels == null
                ? vectors
                : vectors + ", native kernels for " + kernels.name()
                        + (kernels.hasTiles() ? " and AMX" : "")
                        + switch (activations) {
                            case FP32 -> "";
                            case INT8 -> ", activations in int8";
                            case INT8_WHERE_FASTER -> ", activations in int8 where that is faster";
                        };
    }

    /** Multiplies by weights that share their inputs: in one call of the threads, where one kernel takes all. */
    void linears(List<Weight> weights, Matrix x, List<Matrix> outs) {
        // Loops, not streams: a generated token comes here some hundred times, most of them before the compiler does.
        List<float[]> targets = new ArrayList<>(outs.size());
        for (Matrix out : outs) {
            targets.add(HostMatrix.values(out));
        }
        if (few(weights, x.rows())) {
            fewRows(weights, x, targets);
        } else if (byteTiles != null && inByteTiles(weights)) {
            byteTiles.multiply(workers, weights, HostMatrix.values(x), x.rows(), targets);
        } else if (kernels != null && kernels.hasTiles() && x.columns() > 0 && x.rows() > Gemv.MOST_ROWS) {
            List<TileGemm.Columns> products = new ArrayList<>();
            for (int i = 0; i < weights.size(); i++) {
                PanelSource rows = PanelSource.rows(FewRows.floats(weights.get(i), kernels));
                products.add(new TileGemm.Columns(rows, weights.get(i).outFeatures(), targets.get(i)));
            }
            tiles.multiply(workers, HostMatrix.values(x), x.rows(), x.columns(), products);
        } else if (weights.size() > 1) {
            for (int i = 0; i < weights.size(); i++) {
                linears(weights.subList(i, i + 1), x, outs.subList(i, i + 1));
            }
        } else {
            Weight weight = weights.getFirst();
            product(x, FewRows.floats(weight, kernels), weight.outFeatures(), outs.getFirst());
        }
    }

    private void fewRows(List<Weight> weights, Matrix x, List<float[]> outs) {
        if (x.rows() == 0) {
            return;
        }
        try (Inputs inputs = new Inputs(HostMatrix.values(x), x.rows())) {
            new RowProducts(workers, weights, kernels, inputs, outs).multiply();
        }
    }

    /** Whether a product of so many rows is made from the weights as they are stored. */
    private boolean few(List<Weight> weights, int rows) {
        if (rows <= FewRows.MOST_ROWS || kernels == null) {
            return rows <= FewRows.MOST_ROWS;
        }
        return weights.stream().allMatch(weight -> FewRows.isCompiled(weight, rows, kernels))
                || !inByteTiles(weights)
                        && (activations == Activations.INT8 && weights.stream().allMatch(FewRows::takesBytes)
                                || activations == Activations.INT8_WHERE_FASTER
                                        && kernels.bytesAreFast()
                                        && weights.stream().allMatch(FewRows::bytesAreFaster));
    }

    /** Whether a product of so many rows is one of bytes. */
    boolean multipliesBytes(Weight weight, int rows) {
        List<Weight> one = List.of(weight);
        return activations.bytes() && FewRows.takesBytes(weight) && (few(one, rows) || inByteTiles(one));
    }

    /** Whether a product of many rows is one of bytes in tiles. */
    private boolean inByteTiles(List<Weight> weights) {
        return byteTiles != null && activations.bytes() && weights.stream().allMatch(ByteTiles::takes);
    }

    /** Computes {@code out[m, n] = Σ_k a[m, k] b[n, k]} in fp32. */
    void product(Matrix a, RowSource b, int n, Matrix out) {
        float[] from = HostMatrix.values(a);
        float[] to = HostMatrix.values(out);
        if (a.rows() <= Gemv.MOST_ROWS) {
            Gemv.multiply(workers, from, a.rows(), a.columns(), b, n, to);
        } else if (kernels != null && kernels.hasTiles() && a.columns() > 0) {
            tiles.multiply(workers, from, a.rows(), a.columns(), PanelSource.rows(b), n, to);
        } else {
            new Gemm(panels, from, a.columns(), b, n, to).multiply(workers, a.rows());
        }
    }

    @Override
    public void forward(float[] a, int m, int k, RowSource b, int n, float[] c) {
        if (kernels != null && kernels.hasTiles() && k > 0) {
            tiles.multiply(workers, a, m, k, PanelSource.rows(b), n, c);
        } else {
            new Gemm(panels, a, k, b, n, c).multiply(workers, m);
        }
    }

    @Override
    public void backward(float[] a, int m, int n, RowSource b, int k, float[] c) {
        byColumns(a, m, n, b, k, c, false);
    }

    /**
     * Computes {@code c[m, n] (+)= Σ_k a[m, k] b[k, n]}.
     *
     * @param b k rows of n columns
     */
    void byColumns(float[] a, int m, int k, RowSource b, int n, float[] c, boolean accumulate) {
        if (kernels == null || !kernels.hasTiles() || k == 0) {
            RowGemm.multiply(workers, panels, a, m, k, b, n, c, accumulate);
            return;
        }
        float[] target = accumulate ? scratch(m * n) : c;
        tiles.multiply(workers, a, m, k, PanelSource.columns(b), n, target);
        if (accumulate) {
            workers.forEach(m, row -> Addition.run(target, row * n, c, row * n, n));
        }
    }

    /** Returns room of one thread for at least so many numbers, which may be any. */
    private float[] scratch(int size) {
        if (scratch.length < size) {
            scratch = new float[size];
        }
        return scratch;
    }

    /** Computes {@code c[m, n] = Σ_t y[t, m] x[t, n]}. */
    void crossMoment(float[] y, int m, float[] x, int n, int tokens, float[] c) {
        if (kernels == null || !kernels.hasTiles() || tokens == 0) {
            Arrays.fill(c, 0, m * n, 0f);
            CrossMoment.add(workers, panels, y, m, x, n, tokens, c);
            return;
        }
        float[] turned = scratch(m * tokens);
        CrossMoment.transpose(workers, y, tokens, m, turned);
        tiles.multiply(workers, turned, m, tokens, PanelSource.columns(RowSource.of(x, n)), n, c);
    }

    /** Computes attention of few queries of one sequence by the library; a task is a query and a head of keys. */
    void attend(
            Kernels library,
            AttentionShape shape,
            Matrix query,
            int firstPosition,
            Matrix keys,
            Matrix values,
            Matrix out) {
        float[] q = HostMatrix.values(query);
        float[] k = HostMatrix.values(keys);
        float[] v = HostMatrix.values(values);
        float[] o = HostMatrix.values(out);
        int heads = shape.heads() / shape.kvHeads() * shape.headDim();
        workers.forEach(query.rows() * shape.kvHeads(), task -> {
            int row = task / shape.kvHeads();
            int head = task % shape.kvHeads();
            int first = shape.firstSeen(firstPosition + row);
            int at = first * shape.keyColumns() + head * shape.headDim();
            int seen = firstPosition + row + 1 - first;
            int queries = row * shape.queryColumns() + head * heads;
            library.attend(shape, q, queries, k, v, at, seen, new float[Kernels.room(seen)], o);
        });
    }
}
