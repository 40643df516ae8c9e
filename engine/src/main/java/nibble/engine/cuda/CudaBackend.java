package nibble.engine.cuda;

import static jcuda.driver.JCudaDriver.cuMemcpyDtoDAsync;
import static jcuda.driver.JCudaDriver.cuMemsetD32Async;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.IntConsumer;
import java.util.function.IntFunction;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.backend.ActivationStore;
import nibble.engine.backend.AttentionShape;
import nibble.engine.backend.Backend;
import nibble.engine.backend.Decoder;
import nibble.engine.backend.DecoderLayer;
import nibble.engine.backend.DenseWeight;
import nibble.engine.backend.Extents;
import nibble.engine.backend.KeyValueCache;
import nibble.engine.backend.LayerFeed;
import nibble.engine.backend.Matrix;
import nibble.engine.backend.ModelWeights;
import nibble.engine.backend.PlacedModel;
import nibble.engine.backend.ResidentActivations;
import nibble.engine.backend.RotaryTable;
import nibble.engine.backend.TokenScores;
import nibble.engine.backend.Weight;
import nibble.engine.backend.Workers;
import nibble.engine.cuda.driver.Cublas;
import nibble.engine.cuda.driver.CudaDevice;
import nibble.engine.cuda.driver.CudaStream;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.driver.HostTransfers;
import nibble.engine.cuda.driver.Kernel;
import nibble.engine.cuda.driver.KernelCache;
import nibble.engine.cuda.quantize.CudaInputStatistics;
import nibble.engine.cuda.quantize.CudaLinearQuantizer;
import nibble.engine.cuda.quantize.QuantizationScratch;
import nibble.engine.quantize.InputStatistics;
import nibble.engine.quantize.LinearQuantizer;
import nibble.pack.QuantizationSpec;

/**
 * The operations on one NVIDIA card: activations and weights in fp16, sums in fp32. All work goes into one stream, so operations
 * return before they are done; {@code download} waits. Used by one thread at a time. Owns all it takes of the card.
 */
public final class CudaBackend implements Backend {
    private static final int THREADS = 256;
    private static final int ROPE_THREADS = 128;
    private static final long WORKSPACE_BYTES = 64L << 20;
    /** Logits at a time while text is scored. */
    private static final long LOGIT_BYTES = 256L << 20;

    /** Tokens of a batch: products of this many rows run at the card's full rate. */
    static final int BATCH_TOKENS = 16384;

    /** Elements that a thread of the host converts at a time. */
    private static final int SLICE = 1 << 16;

    private static final int READ_REPEATS = 10;

    private final CudaDevice device;
    private final DeviceMemory memory;
    private final CudaStream stream = new CudaStream();
    private final KernelCache kernels;
    private final Cublas cublas;
    private final Products products;
    private final AttentionKernel attention;
    private final Workers workers;
    private final WeightUpload upload;
    private final HostTransfers transfers = new HostTransfers(stream);
    private final QuantizationScratch quantizationScratch;
    private final KeptVectors vectors;

    private CudaBackend(CudaDevice device, long memoryLimit, Workers workers) {
        this.device = device;
        this.workers = workers;
        this.memory = new DeviceMemory("cuda:" + device.ordinal(), memoryLimit);
        this.kernels = new KernelCache(device);
        DeviceMemory.Buffer workspace = memory.allocate(WORKSPACE_BYTES, "cuBLAS's workspace");
        this.cublas = new Cublas(stream.address(), workspace.address(), WORKSPACE_BYTES);
        this.products = new Products(device, memory, kernels, cublas, stream);
        this.attention = new AttentionKernel(kernels);
        this.upload = new WeightUpload(memory, kernels, workers);
        this.quantizationScratch = new QuantizationScratch(memory, stream);
        this.vectors = new KeptVectors(memory, transfers, stream);
    }

    /**
     * @param ordinal as in {@code cuda:0}
     * @param memoryLimit most bytes to take of the card
     * @param threads of the host, for copies
     * @throws nibble.engine.backend.DeviceException if there is no such card, driver or library; the message says what was looked for
     */
    public static CudaBackend open(int ordinal, long memoryLimit, int threads) {
        return new CudaBackend(CudaDevice.open(ordinal), memoryLimit, new Workers(threads));
    }

    /** Why no card can be used on this machine, or an empty text if one can. */
    public static String missing() {
        return CudaDevice.missing();
    }

    @Override
    public String arithmetic() {
        return String.format(
                Locale.ROOT,
                "cuda: %s, compute capability %d.%d, %d multiprocessors, cuBLAS %d",
                device.name(),
                device.capability() / 10,
                device.capability() % 10,
                device.multiprocessors(),
                cublas.version());
    }

    @Override
    public String description() {
        return String.format(
                Locale.ROOT,
                "cuda:%d: %s, compute capability %d.%d, %d multiprocessors, %.1f GB free",
                device.ordinal(),
                device.name(),
                device.capability() / 10,
                device.capability() % 10,
                device.multiprocessors(),
                memory.available() / 1e9);
    }

    @Override
    public void makeCurrent() {
        device.bind();
    }

    @Override
    public void synchronize() {
        device.synchronize();
    }

    /** Bytes a second of a kernel that only reads device memory: what no kernel can exceed. */
    public double readBytesPerSecond() {
        long bytes = Math.min(4L << 30, memory.available() / 2);
        int blocks = 8 * device.multiprocessors();
        double best = 0;
        try (DeviceMemory.Buffer data = memory.allocate(bytes, "measuring bandwidth");
                DeviceMemory.Buffer sums = memory.allocate(4L * blocks, "measuring bandwidth");
                CudaStream.Event start = new CudaStream.Event();
                CudaStream.Event end = new CudaStream.Event()) {
            CudaDevice.check(
                    cuMemsetD32Async(data.pointer(0), 0x3c003c00, data.bytes() / 4, stream.stream()), "filling memory");
            for (int i = 0; i < READ_REPEATS; i++) {
                stream.record(start);
                kernels.kernel("bandwidth.cu", "read_all", Map.of())
                        .launch(
                                stream,
                                Kernel.Grid.of(blocks),
                                THREADS,
                                0,
                                data.address(),
                                data.bytes() / 16,
                                sums.address());
                stream.record(end);
                end.synchronize();
                best = Math.max(best, data.bytes() / (end.millisecondsSince(start) / 1e3));
            }
        }
        return best;
    }

    /** Bytes of the card that can still be taken. */
    public long availableBytes() {
        return memory.available();
    }

    /** Floating-point operations a second of large fp16 products, as of the second moments of 8192 features. */
    public double productFlopsPerSecond() {
        int columns = 8192;
        double flops = 2.0 * BATCH_TOKENS * columns * columns * CudaCalibration.productShare(columns);
        try (Matrix x = allocate(BATCH_TOKENS, columns, false);
                InputStatistics statistics = statistics(columns)) {
            // A bit pattern that is no run of equal numbers: the power that products draw depends on it.
            CudaDevice.check(
                    cuMemsetD32Async(
                            ((CudaMatrix) x).buffer().pointer(0),
                            0x2e663b1a,
                            2L * BATCH_TOKENS * columns / 4,
                            stream.stream()),
                    "filling memory");
            statistics.add(x);
            synchronize();
            long start = System.nanoTime();
            for (int i = 0; i < READ_REPEATS; i++) {
                statistics.add(x);
            }
            synchronize();
            return READ_REPEATS * flops / ((System.nanoTime() - start) / 1e9);
        }
    }

    @Override
    public long peakDeviceBytes() {
        return memory.peak();
    }

    public CudaDevice device() {
        return device;
    }

    public DeviceMemory memory() {
        return memory;
    }

    public CudaStream stream() {
        return stream;
    }

    public KernelCache kernels() {
        return kernels;
    }

    public Cublas cublas() {
        return cublas;
    }

    WeightUpload upload() {
        return upload;
    }

    KeptVectors vectors() {
        return vectors;
    }

    public HostTransfers transfers() {
        return transfers;
    }

    public QuantizationScratch quantizationScratch() {
        return quantizationScratch;
    }

    private CudaMatrix allocate(int rows, int columns, boolean single) {
        long bytes = Math.multiplyExact((long) rows * columns, single ? Float.BYTES : Short.BYTES);
        return new CudaMatrix(
                this, memory.allocate(bytes, "a matrix [" + rows + ", " + columns + "]"), rows, columns, single);
    }

    private CudaMatrix zeros(int rows, int columns, boolean single) {
        CudaMatrix matrix = allocate(rows, columns, single);
        CudaDevice.check(
                cuMemsetD32Async(matrix.buffer().pointer(0), 0, matrix.buffer().bytes() / 4, stream.stream()), "zeros");
        return matrix;
    }

    @Override
    public Matrix allocate(int rows, int columns) {
        return zeros(rows, columns, false);
    }

    @Override
    public Matrix allocateSingle(int rows, int columns) {
        return zeros(rows, columns, true);
    }

    @Override
    public Matrix upload(float[] values, int rows, int columns) {
        return filled(values, rows, columns, false);
    }

    @Override
    public Matrix uploadSingle(float[] values, int rows, int columns) {
        return filled(values, rows, columns, true);
    }

    private Matrix filled(float[] values, int rows, int columns, boolean single) {
        if (values.length != (long) rows * columns) {
            throw new IllegalArgumentException(
                    values.length + " values given for a matrix of " + rows + " x " + columns);
        }
        CudaMatrix matrix = allocate(rows, columns, single);
        if (single) {
            bring(MemorySegment.ofArray(values), matrix.buffer());
        } else {
            short[] halves = new short[values.length];
            forEachSlice(halves.length, i -> halves[i] = Float.floatToFloat16(values[i]));
            bring(MemorySegment.ofArray(halves), matrix.buffer());
        }
        return matrix;
    }

    private void forEachSlice(int elements, IntConsumer conversion) {
        workers.forEach((elements + SLICE - 1) / SLICE, slice -> {
            int end = Math.min(elements, (slice + 1) * SLICE);
            for (int i = slice * SLICE; i < end; i++) {
                conversion.accept(i);
            }
        });
    }

    /** Copies from the heap; done when this returns. */
    void bring(MemorySegment values, DeviceMemory.Buffer to) {
        transfers.bring(values, to);
    }

    @Override
    public float[] download(Matrix matrix) {
        return download(matrix, 0, matrix.rows());
    }

    @Override
    public float[] download(Matrix matrix, int from, int count) {
        CudaMatrix source = CudaMatrix.of(this, matrix);
        if (from < 0 || count < 0 || from + count > source.rows()) {
            throw new IllegalArgumentException("rows " + from + " to " + (from + count) + " asked of " + source.rows());
        }
        float[] values = new float[Math.multiplyExact(count, source.columns())];
        if (source.single()) {
            transfers.fetch(source.buffer(), source.byteOffset(from), MemorySegment.ofArray(values));
            return values;
        }
        short[] halves = new short[values.length];
        transfers.fetch(source.buffer(), source.byteOffset(from), MemorySegment.ofArray(halves));
        forEachSlice(values.length, i -> values[i] = Float.float16ToFloat(halves[i]));
        return values;
    }

    @Override
    public void copyRows(Matrix source, int from, int count, Matrix target, int firstRow) {
        CudaMatrix a = CudaMatrix.of(this, source);
        CudaMatrix b = CudaMatrix.of(this, target, a.single());
        Extents.require("copyRows", "source", source, source.rows(), target.columns());
        if (from < 0 || count < 0 || from + count > source.rows() || firstRow < 0 || firstRow + count > target.rows()) {
            throw new IllegalArgumentException("copyRows: rows " + from + " to " + (from + count) + " of "
                    + source.rows() + " into rows " + firstRow + " to " + (firstRow + count) + " of " + target.rows());
        }
        CudaDevice.check(
                cuMemcpyDtoDAsync(
                        b.buffer().pointer(b.byteOffset(firstRow)),
                        a.buffer().pointer(a.byteOffset(from)),
                        (long) count * a.columns() * a.elementBytes(),
                        stream.stream()),
                "copying rows");
    }

    @Override
    public PlacedModel place(ModelWeights weights) {
        return new CudaPlacedModel(weights, device, stream, memory, upload, activationBytes(weights.config()));
    }

    /** Places a model as if no layer could stay on the card. */
    CudaPlacedModel placeStreaming(ModelWeights weights) {
        return new CudaPlacedModel(weights, device, stream, memory, upload, Long.MAX_VALUE / 2);
    }

    @Override
    public LayerFeed feed(IntFunction<DecoderLayer> read, int layers) {
        return new CudaLayerFeed(
                read, read.apply(0), index -> index + 1 < layers ? index + 1 : -1, device, stream, memory, upload);
    }

    @Override
    public ActivationStore activationStore(long elements, ModelConfig config) {
        long beside = CudaCalibration.beside(config, BATCH_TOKENS);
        return memory.available() - 2 * elements >= beside ? new ResidentActivations() : new PinnedActivations(this);
    }

    @Override
    public InputStatistics statistics(int columns) {
        return new CudaInputStatistics(this, columns);
    }

    @Override
    public LinearQuantizer quantizer(Weight placed, DenseWeight original, Path file, QuantizationSpec spec) {
        if (placed instanceof CudaWeight.Dense here) {
            return new CudaLinearQuantizer(this, here, original, file, spec);
        }
        throw new IllegalArgumentException(placed.name() + ": an unquantized weight on this card is expected");
    }

    /** What a batch takes beside the weights: the matrices of {@link nibble.engine.Forward}, logits, expanded weights. */
    private static long activationBytes(ModelConfig config) {
        long columns = 4L * config.hiddenSize()
                + 2L * config.heads() * config.headDim()
                + 2L * config.kvHeads() * config.headDim()
                + 2L * config.intermediateSize();
        return 2 * columns * Math.min(BATCH_TOKENS, 4L * config.maxPositions()) + LOGIT_BYTES + (1L << 30);
    }

    @Override
    public int sequencesPerBatch(ModelConfig config, int tokens) {
        return Math.max(1, BATCH_TOKENS / tokens);
    }

    @Override
    public Optional<Decoder> decoder(PlacedModel model, KeyValueCache cache) {
        if (!(model instanceof CudaPlacedModel placed)
                || RotaryTable.growsWithSequence(model.config().rope())) {
            return Optional.empty();
        }
        RotaryTable table = RotaryTable.of(model.config(), cache.capacity(), 0);
        return Optional.ofNullable(CudaDecoder.of(this, placed, cache, table));
    }

    @Override
    public void embed(Weight embedding, int[] ids, Matrix out) {
        Extents.require("embed", "out", out, ids.length, embedding.inFeatures());
        Extents.ids(embedding, ids);
        CudaMatrix to = CudaMatrix.of(this, out, false);
        try (WeightInUse<CudaWeight.Dense> table = WeightInUse.dense(embedding, this);
                DeviceMemory.Buffer list = memory.allocate(4L * ids.length, "token ids")) {
            bring(MemorySegment.ofArray(ids), list);
            kernels.kernel("elementwise.cu", "embed", Map.of())
                    .launch(
                            stream,
                            Kernel.Grid.of(ids.length),
                            THREADS,
                            0,
                            table.weight().address(),
                            list.address(),
                            to.columns(),
                            to.address());
        }
    }

    @Override
    public void rmsNorm(Matrix x, float[] weight, double epsilon, Matrix out) {
        Extents.require("rmsNorm", "out", out, x.rows(), x.columns());
        Extents.require("rmsNorm", "x", x, x.rows(), weight.length);
        rmsNorm(x, x.rows(), weight, epsilon, out);
    }

    @Override
    public void rmsNormHeads(Matrix x, float[] weight, double epsilon) {
        Extents.rmsNormHeads(x, weight);
        rmsNorm(x, Math.multiplyExact(x.rows(), x.columns() / weight.length), weight, epsilon, x);
    }

    /** @param rows of {@code weight.length} columns, which x is read as */
    private void rmsNorm(Matrix x, int rows, float[] weight, double epsilon, Matrix out) {
        kernels.kernel("elementwise.cu", "rms_norm", Map.of())
                .launch(
                        stream,
                        Kernel.Grid.of(rows),
                        THREADS,
                        0,
                        CudaMatrix.of(this, x, false).address(),
                        vectors.single(weight).address(),
                        (float) epsilon,
                        weight.length,
                        CudaMatrix.of(this, out, false).address());
    }

    @Override
    public void addBias(float[] bias, Matrix into) {
        Extents.require("addBias", "into", into, into.rows(), bias.length);
        kernels.kernel("elementwise.cu", "add_bias", Map.of())
                .launch(
                        stream,
                        new Kernel.Grid((bias.length + THREADS - 1) / THREADS, into.rows(), 1),
                        THREADS,
                        0,
                        vectors.single(bias).address(),
                        CudaMatrix.of(this, into, false).address(),
                        bias.length);
    }

    @Override
    public void scale(Matrix x, float factor) {
        CudaMatrix values = CudaMatrix.of(this, x, false);
        long pieces = (values.elements() + 7) / 8;
        kernels.kernel("elementwise.cu", "scale", Map.of())
                .launch(
                        stream,
                        Kernel.Grid.of((pieces + THREADS - 1) / THREADS),
                        THREADS,
                        0,
                        values.address(),
                        factor,
                        values.elements());
    }

    @Override
    public void linear(Weight weight, Matrix x, Matrix out) {
        Extents.linear(weight, x, out);
        multiply(weight, x, out, false);
    }

    @Override
    public void addLinear(Weight weight, Matrix x, Matrix into) {
        Extents.linear(weight, x, into);
        multiply(weight, x, into, true);
    }

    private void multiply(Weight weight, Matrix x, Matrix out, boolean accumulate) {
        CudaMatrix in = CudaMatrix.of(this, x, false);
        CudaMatrix to = CudaMatrix.of(this, out);
        switch (weight) {
            case CudaWeight.Nibbles nibbles -> products.multiply(in, List.of(nibbles), List.of(to), this, accumulate);
            case CudaWeight.Dense placed -> products.multiply(in, placed, to, accumulate);
            case DenseWeight host -> {
                try (WeightInUse<CudaWeight.Dense> placed = WeightInUse.dense(host, this)) {
                    products.multiply(in, placed.weight(), to, accumulate);
                }
            }
            default -> {
                try (WeightInUse<CudaWeight.Nibbles> placed = WeightInUse.nibbles(weight, this)) {
                    products.multiply(in, List.of(placed.weight()), List.of(to), this, accumulate);
                }
            }
        }
    }

    @Override
    public void linears(List<Weight> weights, Matrix x, List<Matrix> outs) {
        if (weights.getFirst() instanceof CudaWeight.Nibbles first
                && weights.stream()
                        .allMatch(w -> w instanceof CudaWeight.Nibbles part && part.matrix() == first.matrix())) {
            for (int i = 0; i < weights.size(); i++) {
                Extents.linear(weights.get(i), x, outs.get(i));
            }
            List<CudaWeight.Nibbles> parts =
                    weights.stream().map(CudaWeight.Nibbles.class::cast).toList();
            products.multiply(CudaMatrix.of(this, x, false), parts, outs, this, false);
        } else {
            Backend.super.linears(weights, x, outs);
        }
    }

    @Override
    public void rope(Matrix x, int headDim, RotaryTable table, int sequences, int firstPosition) {
        Extents.rope(x, headDim, table, sequences, firstPosition);
        DeviceMemory.Buffer angles = vectors.angles(table);
        int perThread = 4;
        int threads = (x.columns() + perThread - 1) / perThread;
        kernels.kernel("elementwise.cu", "rope", Map.of())
                .launch(
                        stream,
                        new Kernel.Grid((threads + ROPE_THREADS - 1) / ROPE_THREADS, x.rows(), 1),
                        ROPE_THREADS,
                        0,
                        CudaMatrix.of(this, x, false).address(),
                        x.columns(),
                        table.half(),
                        angles.address(),
                        angles.address() + 4L * table.cos().length,
                        firstPosition,
                        Math.max(1, x.rows() / sequences));
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
        attention.run(
                stream,
                shape,
                sequences,
                CudaMatrix.of(this, query, false),
                firstPosition,
                CudaMatrix.of(this, keys, false),
                CudaMatrix.of(this, values, false),
                CudaMatrix.of(this, out, false));
    }

    @Override
    public void attention(
            AttentionShape shape,
            Matrix query,
            int firstRow,
            int rows,
            int firstPosition,
            Matrix keys,
            Matrix values,
            int firstKey,
            Matrix out) {
        Extents.attention(shape, query, firstRow, rows, firstPosition, keys, values, firstKey, out);
        attention.launch(
                stream,
                shape,
                1,
                new AttentionKernel.Rows(
                        CudaMatrix.of(this, query, false), firstRow, rows, CudaMatrix.of(this, out, false)),
                firstPosition,
                new AttentionKernel.KeyRows(
                        CudaMatrix.of(this, keys, false),
                        CudaMatrix.of(this, values, false),
                        firstKey,
                        firstPosition + rows));
    }

    @Override
    public void swiglu(Matrix gate, Matrix up, Matrix out) {
        Extents.require("swiglu", "up", up, gate.rows(), gate.columns());
        Extents.require("swiglu", "out", out, gate.rows(), gate.columns());
        elementwise("swiglu", CudaMatrix.of(this, out, false).elements(), gate, up, out);
    }

    @Override
    public void geglu(Matrix gate, Matrix up, Matrix out) {
        Extents.require("geglu", "up", up, gate.rows(), gate.columns());
        Extents.require("geglu", "out", out, gate.rows(), gate.columns());
        elementwise("geglu", CudaMatrix.of(this, out, false).elements(), gate, up, out);
    }

    @Override
    public void add(Matrix x, Matrix into) {
        Extents.require("add", "x", x, into.rows(), into.columns());
        elementwise("add", CudaMatrix.of(this, into, false).elements(), x, into);
    }

    private void elementwise(String kernel, long elements, Matrix... operands) {
        Object[] arguments = new Object[operands.length + 1];
        for (int i = 0; i < operands.length; i++) {
            arguments[i] = CudaMatrix.of(this, operands[i], false).address();
        }
        arguments[operands.length] = elements;
        long pieces = (elements + 7) / 8;
        kernels.kernel("elementwise.cu", kernel, Map.of())
                .launch(stream, Kernel.Grid.of((pieces + THREADS - 1) / THREADS), THREADS, 0, arguments);
    }

    @Override
    public float[] logProbabilities(Weight head, Matrix x, int[] next) {
        return score(head, x, next).logProbabilities();
    }

    @Override
    public TokenScores score(Weight head, Matrix x, int[] next) {
        Extents.logProbabilities(head, x, next);
        CudaMatrix rows = CudaMatrix.of(this, x, false);
        int vocabulary = head.outFeatures();
        int chunk = (int) Math.clamp(LOGIT_BYTES / (4L * vocabulary), 1, Math.max(1, rows.rows()));
        try (WeightInUse<CudaWeight.Dense> weight = WeightInUse.dense(head, this);
                DeviceMemory.Buffer ids = memory.allocate(4L * next.length, "token ids");
                CudaMatrix result = allocate(next.length, 1, true);
                // Ids up to 2^24 are exact in fp32, and no vocabulary is larger.
                CudaMatrix likeliest = allocate(next.length, 1, true);
                DeviceMemory.Buffer logits =
                        memory.allocate(4L * chunk * vocabulary, "logits of " + chunk + " tokens")) {
            bring(MemorySegment.ofArray(next), ids);
            for (int first = 0; first < next.length; first += chunk) {
                int count = Math.min(chunk, next.length - first);
                cublas.multiplyTransposed(
                        count,
                        vocabulary,
                        rows.columns(),
                        rows.address(first),
                        Cublas.Type.F16,
                        rows.columns(),
                        weight.weight().address(),
                        rows.columns(),
                        logits.address(),
                        Cublas.Type.F32,
                        vocabulary,
                        false,
                        Cublas.Compute.FP32);
                kernels.kernel("log_probabilities.cu", "log_probabilities", Map.of())
                        .launch(
                                stream,
                                Kernel.Grid.of(count),
                                THREADS,
                                0,
                                logits.address(),
                                vocabulary,
                                ids.address() + 4L * first,
                                result.address(first),
                                likeliest.address(first));
            }
            return new TokenScores(download(result), integers(download(likeliest)));
        }
    }

    private static int[] integers(float[] values) {
        int[] integers = new int[values.length];
        for (int i = 0; i < values.length; i++) {
            integers[i] = (int) values[i];
        }
        return integers;
    }

    @Override
    public void multiplyTransposed(Matrix a, Matrix b, Matrix out) {
        Extents.require("multiplyTransposed", "b", b, b.rows(), a.columns());
        Extents.require("multiplyTransposed", "out", out, a.rows(), b.rows());
        cublas.multiplyTransposed(
                a.rows(),
                b.rows(),
                a.columns(),
                CudaMatrix.of(this, a, true).address(),
                Cublas.Type.F32,
                a.columns(),
                CudaMatrix.of(this, b, true).address(),
                b.columns(),
                CudaMatrix.of(this, out, true).address(),
                Cublas.Type.F32,
                out.columns(),
                false,
                Cublas.Compute.FP32);
    }

    @Override
    public void addSecondMoment(Matrix x, Matrix moment) {
        int n = x.columns();
        Extents.require("addSecondMoment", "moment", moment, n, n);
        CudaMatrix in = CudaMatrix.of(this, x, false);
        CudaMatrix sums = CudaMatrix.of(this, moment, true);
        // The triangle from the diagonal on; the rest is its mirror image.
        cublas.addSecondMoment(in.rows(), n, in.address(), sums.address(), true);
        int tiles = (n + 31) / 32;
        kernels.kernel("elementwise.cu", "mirror", Map.of())
                .launch(stream, new Kernel.Grid(tiles, tiles, 1), THREADS, 0, sums.address(), n);
    }

    @Override
    public void close() {
        device.synchronize();
        upload.close();
        products.close();
        cublas.close();
        kernels.close();
        transfers.close();
        quantizationScratch.close();
        memory.close();
        stream.close();
        workers.close();
        device.close();
    }
}
