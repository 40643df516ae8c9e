package nibble.engine.cuda;

import java.lang.foreign.MemorySegment;
import java.util.Map;
import nibble.checkpoint.model.layer.Activation;
import nibble.engine.attention.RotaryTable;
import nibble.engine.backend.Extents;
import nibble.engine.cuda.data.BlockMatrix;
import nibble.engine.cuda.data.CudaMatrix;
import nibble.engine.cuda.data.CudaWeight;
import nibble.engine.cuda.data.KeptVectors;
import nibble.engine.cuda.driver.CudaResources;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.driver.Kernel;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Weight;

/** The kernels of {@code elementwise.cu}: embedding, norms, biases, rotary embedding, activations, sums. */
final class ElementwiseKernels {
    private static final int THREADS = 256;
    private static final int ROPE_THREADS = 128;
    private static final int GLU_THREADS = 128;

    private final CudaResources card;
    private final KeptVectors vectors;
    private final WeightUpload upload;

    ElementwiseKernels(CudaResources card, KeptVectors vectors, WeightUpload upload) {
        this.card = card;
        this.vectors = vectors;
        this.upload = upload;
    }

    void embed(Weight embedding, int[] ids, Matrix out) {
        Extents.require("embed", "out", out, ids.length, embedding.inFeatures());
        Extents.ids(embedding, ids);
        CudaMatrix to = CudaMatrix.of(card, out, false);
        try (WeightInUse<? extends CudaWeight> table = WeightInUse.any(embedding, card, upload);
                DeviceMemory.Buffer list = card.memory().allocate(4L * ids.length, "token ids")) {
            card.transfers().bring(MemorySegment.ofArray(ids), list);
            embed(table.weight(), list.address(), to);
        }
    }

    /** As {@link #embed(Weight, int[], Matrix)}, of ids that are on the card already, one for each row. */
    void embed(CudaWeight table, long ids, CudaMatrix to) {
        Kernel.Grid grid = Kernel.Grid.of(to.rows());
        switch (table) {
            case CudaWeight.Dense dense ->
                kernel("embed")
                        .launch(card.stream(), grid, THREADS, 0, dense.address(), ids, to.columns(), to.address());
            case CudaWeight.Tiled(String _, int _, BlockMatrix matrix, int _, int _) ->
                card.kernels()
                        .kernel("blocks.cu", "block_embed", matrix.constants())
                        .launch(card.stream(), grid, THREADS, 0, matrix.address(), ids, to.columns(), to.address());
            case CudaWeight.Tiled tiled ->
                throw new IllegalArgumentException(tiled.name() + ": an embedding of 4-bit codes");
        }
    }

    void rmsNorm(Matrix x, float[] weight, double epsilon, Matrix out) {
        Extents.require("rmsNorm", "out", out, x.rows(), x.columns());
        Extents.require("rmsNorm", "x", x, x.rows(), weight.length);
        rmsNorm(x, x.rows(), weight, epsilon, CudaMatrix.of(card, out, false), 0);
    }

    void rmsNormHeads(Matrix x, float[] weight, double epsilon) {
        Extents.rmsNormHeads(x, weight.length);
        rmsNorm(
                x,
                Math.multiplyExact(x.rows(), x.columns() / weight.length),
                weight,
                epsilon,
                CudaMatrix.of(card, x, false),
                0);
    }

    /**
     * Does what {@link #rmsNorm(Matrix, float[], double, Matrix)} does, for a product.
     *
     * @param out has room for {@code arranged} rows
     * @param arranged 0, or the rows that {@code out} is arranged for ({@code arranged.cuh})
     */
    void rmsNorm(Matrix x, float[] weight, double epsilon, CudaMatrix out, int arranged) {
        Extents.require("rmsNorm", "x", x, x.rows(), weight.length);
        rmsNorm(x, x.rows(), weight, epsilon, out, arranged);
    }

    /** @param rows of {@code weight.length} columns, which x is read as */
    private void rmsNorm(Matrix x, int rows, float[] weight, double epsilon, CudaMatrix out, int arranged) {
        kernel("rms_norm")
                .launch(
                        card.stream(),
                        Kernel.Grid.of(rows),
                        THREADS,
                        0,
                        CudaMatrix.of(card, x, false).address(),
                        vectors.single(weight).address(),
                        (float) epsilon,
                        weight.length,
                        out.address(),
                        arranged);
    }

    void layerNormHeads(Matrix x, float[] weight, int headDim, double epsilon) {
        Extents.layerNormHeads(x, weight, headDim);
        kernel("layer_norm_heads")
                .launch(
                        card.stream(),
                        Kernel.Grid.of(Math.multiplyExact(x.rows(), x.columns() / headDim)),
                        THREADS,
                        0,
                        CudaMatrix.of(card, x, false).address(),
                        vectors.single(weight).address(),
                        (float) epsilon,
                        x.columns() / headDim,
                        headDim);
    }

    void center(Matrix x, Matrix out) {
        Extents.require("center", "out", out, x.rows(), x.columns());
        kernel("center")
                .launch(
                        card.stream(),
                        Kernel.Grid.of(x.rows()),
                        THREADS,
                        0,
                        CudaMatrix.of(card, x, false).address(),
                        x.columns(),
                        CudaMatrix.of(card, out, false).address());
    }

    void addBias(float[] bias, Matrix into) {
        Extents.require("addBias", "into", into, into.rows(), bias.length);
        CudaMatrix to = CudaMatrix.of(card, into);
        kernel(to.single() ? "add_bias_single" : "add_bias")
                .launch(
                        card.stream(),
                        new Kernel.Grid((bias.length + THREADS - 1) / THREADS, into.rows(), 1),
                        THREADS,
                        0,
                        vectors.single(bias).address(),
                        to.address(),
                        bias.length);
    }

    void scale(Matrix x, float factor) {
        CudaMatrix values = CudaMatrix.of(card, x, false);
        long pieces = (values.elements() + 7) / 8;
        kernel("scale")
                .launch(
                        card.stream(),
                        Kernel.Grid.of((pieces + THREADS - 1) / THREADS),
                        THREADS,
                        0,
                        values.address(),
                        factor,
                        values.elements());
    }

    /** @param x single precision */
    void cap(Matrix x, float most) {
        CudaMatrix values = CudaMatrix.of(card, x, true);
        kernel("cap")
                .launch(
                        card.stream(),
                        Kernel.Grid.of((values.elements() + THREADS - 1) / THREADS),
                        THREADS,
                        0,
                        values.address(),
                        most,
                        values.elements());
    }

    void rope(Matrix x, int headDim, RotaryTable table, int sequences, int firstPosition) {
        Extents.rope(x, headDim, table, sequences, firstPosition);
        DeviceMemory.Buffer angles = vectors.angles(table);
        int perThread = 4;
        int threads = (x.columns() + perThread - 1) / perThread;
        kernel("rope")
                .launch(
                        card.stream(),
                        new Kernel.Grid((threads + ROPE_THREADS - 1) / ROPE_THREADS, x.rows(), 1),
                        ROPE_THREADS,
                        0,
                        CudaMatrix.of(card, x, false).address(),
                        x.columns(),
                        headDim,
                        table.half(),
                        angles.address(),
                        angles.address() + 4L * table.cos().length,
                        firstPosition,
                        Math.max(1, x.rows() / sequences));
    }

    void gatherColumns(Matrix source, int[] columns, Matrix target) {
        Extents.gatherColumns(source, columns, target);
        kernel("gather_columns")
                .launch(
                        card.stream(),
                        Kernel.Grid.of(source.rows()),
                        THREADS,
                        0,
                        CudaMatrix.of(card, source, false).address(),
                        source.columns(),
                        vectors.columns(columns).address(),
                        columns.length,
                        CudaMatrix.of(card, target, false).address());
    }

    void glu(Activation activation, Matrix gate, Matrix up, Matrix out) {
        Extents.glu(gate, up, out);
        String kernel = switch (activation) {
            case SILU -> "swiglu";
            case GELU_TANH -> "geglu";
            case CLAMPED_SWIGLU -> "clamped_swiglu";
        };
        elementwise(kernel, CudaMatrix.of(card, out, false).elements(), gate, up, out);
    }

    void add(Matrix x, Matrix into) {
        Extents.require("add", "x", x, into.rows(), into.columns());
        elementwise("add", CudaMatrix.of(card, into, false).elements(), x, into);
    }

    void subtract(Matrix a, Matrix b, Matrix out) {
        Extents.require("subtract", "b", b, a.rows(), a.columns());
        Extents.require("subtract", "out", out, a.rows(), a.columns());
        elementwise("subtract", CudaMatrix.of(card, out, false).elements(), a, b, out);
    }

    double squares(Matrix x) {
        CudaMatrix values = CudaMatrix.of(card, x, false);
        int rows = values.rows();
        double sum = 0;
        try (DeviceMemory.Buffer sums = card.memory().allocate((long) Double.BYTES * rows, "sums of squares")) {
            kernel("squares")
                    .launch(
                            card.stream(),
                            Kernel.Grid.of(rows),
                            THREADS,
                            0,
                            values.address(),
                            values.columns(),
                            sums.address());
            for (double part : card.transfers().doubles(sums, rows)) {
                sum += part;
            }
        }
        return sum;
    }

    private void elementwise(String name, long elements, Matrix... operands) {
        Object[] arguments = new Object[operands.length + 1];
        for (int i = 0; i < operands.length; i++) {
            arguments[i] = CudaMatrix.of(card, operands[i], false).address();
        }
        arguments[operands.length] = elements;
        long pieces = (elements + 7) / 8;
        kernel(name).launch(card.stream(), Kernel.Grid.of((pieces + THREADS - 1) / THREADS), THREADS, 0, arguments);
    }

    private Kernel kernel(String name) {
        return card.kernels().kernel("elementwise.cu", name, Map.of());
    }

    /**
     * Computes {@code out = activation(gate) * up} for the rows of a product with gate and up together.
     *
     * @param gateUp the matrix of both: where it is quantized they are interleaved by eight
     * @param arranged as of {@link #rmsNorm(Matrix, float[], double, CudaMatrix, int)}
     */
    void gluOfRows(Activation activation, CudaWeight gateUp, CudaMatrix both, CudaMatrix out, int arranged) {
        int mlp = out.columns();
        boolean interleaved = gateUp instanceof CudaWeight.Tiled;
        String name = switch (activation) {
            case SILU -> "swiglu_rows";
            case GELU_TANH -> "geglu_rows";
            case CLAMPED_SWIGLU -> "clamped_swiglu_rows";
        };
        kernel(name)
                .launch(
                        card.stream(),
                        new Kernel.Grid(Math.ceilDiv(mlp / 8, GLU_THREADS), out.rows(), 1),
                        GLU_THREADS,
                        0,
                        both.address(),
                        both.columns(),
                        interleaved ? 16 : 8,
                        interleaved ? 8 : mlp,
                        out.address(),
                        mlp,
                        arranged);
    }
}
