package nibble.engine.cuda;

import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.function.IntFunction;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.backend.ActivationStore;
import nibble.engine.backend.Backend;
import nibble.engine.backend.BatchDecoder;
import nibble.engine.backend.BlockCache;
import nibble.engine.backend.CalibrationMemory;
import nibble.engine.backend.Decoder;
import nibble.engine.backend.DeviceKind;
import nibble.engine.backend.GradientOperations;
import nibble.engine.backend.KeyValueCache;
import nibble.engine.backend.PlacedWeight;
import nibble.engine.backend.ResidentActivations;
import nibble.engine.backend.Streams;
import nibble.engine.backend.TokenScores;
import nibble.engine.backend.Workers;
import nibble.engine.cuda.data.CudaWeight;
import nibble.engine.cuda.data.KeptVectors;
import nibble.engine.cuda.driver.CudaDevice;
import nibble.engine.cuda.driver.CudaResources;
import nibble.engine.cuda.gradient.CudaGradients;
import nibble.engine.cuda.quantize.BroughtQuantizer;
import nibble.engine.cuda.quantize.CudaInputStatistics;
import nibble.engine.cuda.quantize.CudaLinearQuantizer;
import nibble.engine.cuda.quantize.CudaPairedMoments;
import nibble.engine.cuda.quantize.QuantizationScratch;
import nibble.engine.quantize.LinearQuantizer;
import nibble.engine.quantize.PairedMoments;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.DeviceLayers;
import nibble.engine.tensor.LayerFeed;
import nibble.engine.tensor.LogitRule;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.ModelWeights;
import nibble.engine.tensor.PlacedModel;
import nibble.engine.tensor.Weight;
import nibble.pack.QuantizationSpec;
import org.jspecify.annotations.Nullable;

/**
 * Computes the operations on one NVIDIA card: activations and weights in fp16, sums in fp32. All work goes into one
 * stream, so operations return before they are done; {@code download} waits. Used by one thread at a time. Owns all it
 * takes of the card.
 */
public final class CudaBackend extends CudaOperations implements Backend {
    /** Tokens of a batch: products of this many rows run at the card's full rate. */
    public static final int BATCH_TOKENS = 16384;

    /** Tokens of prompts of a pass: expanding 4-bit weights is a tenth of it then. */
    private static final int PROMPT_TOKENS = 4096;

    private final QuantizationScratch scratch;
    private final CudaMatrices matrices;
    private final TokenScoring scoring;
    private final WholeMoments moments;
    private final CudaGradients gradients;
    private final @Nullable Backend host;
    private final DeviceLayers layers;

    private CudaBackend(CudaResources card, Workers workers, @Nullable Backend host, DeviceLayers layers) {
        super(card, workers);
        this.host = host;
        this.layers = layers;
        this.scratch = new QuantizationScratch(card.memory(), card.stream());
        this.matrices = new CudaMatrices(card, workers);
        this.scoring = new TokenScoring(card, matrices, upload, linears, elementwise);
        this.moments = new WholeMoments(card);
        this.gradients = new CudaGradients(card, this, vectors, linears::bring);
    }

    /**
     * Opens a card.
     *
     * @param ordinal as in {@code cuda:0}
     * @param memoryLimit most bytes to take of the card
     * @param threads of the host, for copies
     * @throws nibble.engine.backend.DeviceException if there is no such card, driver or library; the message says what
     *     was looked for
     */
    public static CudaBackend open(int ordinal, long memoryLimit, int threads) {
        return new CudaBackend(CudaResources.open(ordinal, memoryLimit), new Workers(threads), null, DeviceLayers.ALL);
    }

    /**
     * Opens a card that leaves the first layers of a model to the host.
     *
     * @param host this backend's from now on
     * @param layers of the card
     * @throws nibble.engine.backend.DeviceException as of {@link #open(int, long, int)}
     */
    public static CudaBackend open(int ordinal, long memoryLimit, int threads, Backend host, DeviceLayers layers) {
        try {
            return new CudaBackend(CudaResources.open(ordinal, memoryLimit), new Workers(threads), host, layers);
        } catch (RuntimeException e) {
            host.close();
            throw e;
        }
    }

    /** Says why no card can be used on this machine, in an empty text if one can. */
    public static String missing() {
        return CudaDevice.missing();
    }

    @Override
    public DeviceKind kind() {
        return DeviceKind.CUDA;
    }

    @Override
    public String arithmetic() {
        return "cuda: " + card.device().description() + ", cuBLAS "
                + card.cublas().version();
    }

    @Override
    public String description() {
        return String.format(
                Locale.ROOT,
                "cuda:%d: %s, %.1f GB free",
                card.device().ordinal(),
                card.device().description(),
                card.memory().available() / 1e9);
    }

    @Override
    public void makeCurrent() {
        card.makeCurrent();
    }

    @Override
    public void synchronize() {
        card.synchronize();
    }

    @Override
    public OptionalDouble readBytesPerSecond() {
        return OptionalDouble.of(new CardSpeed(card).readBytesPerSecond());
    }

    @Override
    public double productFlopsPerSecond() {
        return new CardSpeed(card).productFlopsPerSecond(matrices, scratch);
    }

    @Override
    public Optional<CalibrationMemory> calibrationMemory(
            ModelConfig config, Streams streams, int sequences, int sequenceLength) {
        return Optional.of(CudaCalibration.peak(
                config, streams, sequences, sequenceLength, card.memory().available()));
    }

    @Override
    public long deviceBytes() {
        return card.memory().used();
    }

    @Override
    public long peakDeviceBytes() {
        return card.memory().peak();
    }

    /** Returns what operations on this card share. */
    public CudaResources resources() {
        return card;
    }

    KeptVectors vectors() {
        return vectors;
    }

    @Override
    public Matrix allocate(int rows, int columns) {
        return matrices.zeros(rows, columns, false);
    }

    @Override
    public Matrix allocateSingle(int rows, int columns) {
        return matrices.zeros(rows, columns, true);
    }

    @Override
    public Matrix allocateCodes(int rows, int columns, int head) {
        return matrices.codes(rows, columns, head);
    }

    @Override
    public Matrix upload(float[] values, int rows, int columns) {
        return matrices.filled(values, rows, columns, false);
    }

    @Override
    public Matrix uploadSingle(float[] values, int rows, int columns) {
        return matrices.filled(values, rows, columns, true);
    }

    @Override
    public float[] download(Matrix matrix) {
        return matrices.download(matrix, 0, matrix.rows());
    }

    @Override
    public float[] download(Matrix matrix, int from, int count) {
        return matrices.download(matrix, from, count);
    }

    @Override
    public void copyRows(Matrix source, int from, int count, Matrix target, int firstRow) {
        matrices.copyRows(source, from, count, target, firstRow);
    }

    @Override
    public PlacedModel place(ModelWeights weights) {
        return new CudaPlacedModel(weights, card, upload, CudaPlacedModel.activationBytes(weights.config()));
    }

    /** Places a model as if no layer could stay on the card. */
    CudaPlacedModel placeStreaming(ModelWeights weights) {
        return new CudaPlacedModel(weights, card, upload, Long.MAX_VALUE / 2);
    }

    @Override
    public Optional<HostShare> hostShare(ModelWeights weights) {
        if (host == null || layers.equals(DeviceLayers.ALL)) {
            return Optional.empty();
        }
        int count = weights.layers().size();
        int here = layers.isFitting()
                ? CudaPlacedModel.fitting(weights, card.memory().available())
                : Math.min(count, layers.number());
        return here == count ? Optional.empty() : Optional.of(new HostShare(host, count - here));
    }

    @Override
    public LayerFeed feed(IntFunction<DecoderLayer> read, int layers) {
        IntFunction<DecoderLayer> expanded = index -> read.apply(index).expanded();
        return CudaLayerFeed.of(expanded, layers, card, upload);
    }

    @Override
    public ActivationStore activationStore(long elements, ModelConfig config, Streams streams) {
        long beside = CudaCalibration.beside(
                config, streams, BATCH_TOKENS, card.memory().room());
        return card.memory().available() - 2 * elements >= beside
                ? new ResidentActivations(this)
                : new PinnedActivations(card);
    }

    @Override
    public ActivationStore hostStore() {
        return new PinnedActivations(card);
    }

    @Override
    public CudaInputStatistics statistics(int columns) {
        return new CudaInputStatistics(card, scratch, columns);
    }

    @Override
    public PairedMoments pairedMoments(int columns, int residual) {
        return new CudaPairedMoments(card, scratch, columns, residual);
    }

    @Override
    public long expertElements(ModelConfig config, Streams streams) {
        return CudaCalibration.expertElements(
                config, streams, BATCH_TOKENS, card.memory().room());
    }

    @Override
    public PlacedWeight bring(Weight weight) {
        return linears.bring(weight);
    }

    @Override
    public LinearQuantizer quantizer(Weight placed, DenseWeight original, Path file, QuantizationSpec spec) {
        return placed instanceof DenseWeight host
                ? BroughtQuantizer.of(host, () -> {
                    PlacedWeight brought = linears.bring(host);
                    return BroughtQuantizer.opened(
                            () -> quantizerHere(brought.weight(), original, file, spec), brought::close);
                })
                : quantizerHere(placed, original, file, spec);
    }

    /** Makes a quantizer of a weight that lies on this card. */
    public CudaLinearQuantizer quantizerHere(Weight placed, DenseWeight original, Path file, QuantizationSpec spec) {
        if (placed instanceof CudaWeight.Dense here) {
            return new CudaLinearQuantizer(card, scratch, here, original, file, spec);
        }
        throw new IllegalArgumentException(placed.name() + ": an unquantized weight on this card is expected");
    }

    @Override
    public GradientOperations gradients() {
        return gradients;
    }

    @Override
    public int sequencesPerBatch(ModelConfig config, int tokens) {
        return Math.max(1, BATCH_TOKENS / tokens);
    }

    @Override
    public Optional<Decoder> decoder(PlacedModel model, KeyValueCache cache) {
        return CudaDecoder.of(this, model, cache);
    }

    @Override
    public int textsTogether() {
        return CudaBatchDecoder.MOST_ROWS;
    }

    @Override
    public boolean gainsByBatching() {
        return true;
    }

    @Override
    public int promptTokensTogether() {
        return PROMPT_TOKENS;
    }

    @Override
    public int cacheNumberBytes() {
        return Short.BYTES;
    }

    /** Returns all that is free but for a pass of prompts; at least half. */
    @Override
    public long cacheMemory(ModelConfig config) {
        long free = card.memory().available();
        return Math.max(free / 2, free - CudaPlacedModel.activationBytes(config));
    }

    @Override
    public Optional<BatchDecoder> batchDecoder(PlacedModel model, BlockCache cache, int rows) {
        return CudaBatchDecoder.of(this, model, cache, rows);
    }

    @Override
    public void subtract(Matrix a, Matrix b, Matrix out) {
        elementwise.subtract(a, b, out);
    }

    @Override
    public double squares(Matrix x) {
        return elementwise.squares(x);
    }

    @Override
    public void multiplyTransposed(Matrix a, Matrix b, Matrix out) {
        moments.multiplyTransposed(a, b, out);
    }

    @Override
    public void addSecondMoment(Matrix x, Matrix moment) {
        moments.addSecondMoment(x, moment);
    }

    @Override
    public void addCrossMoment(Matrix y, Matrix x, Matrix moment) {
        moments.addCrossMoment(y, x, moment);
    }

    @Override
    public TokenScores score(Weight head, LogitRule rule, Matrix x, int[] next) {
        return scoring.score(head, rule, x, next);
    }

    @Override
    public void close() {
        card.synchronize();
        upload.close();
        paged.close();
        products.close();
        scratch.close();
        card.close();
        workers.close();
        if (host != null) {
            host.close();
        }
    }
}
