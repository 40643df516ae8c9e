package nibble.calibrate;

import java.util.List;
import nibble.calibrate.job.Method;
import nibble.calibrate.search.ScaleSearch;
import nibble.calibrate.search.Work;
import nibble.calibrate.tune.TuningCost;
import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.Experts;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.LinearInput;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.StoredLinear;
import nibble.engine.backend.LayerScratch;
import nibble.engine.backend.Streams;
import nibble.engine.cuda.CudaCalibration;
import nibble.engine.quantize.ExpertTurns;
import nibble.pack.QuantizationSpec;

/**
 * Estimates what a quantization will take, from the config alone. Arithmetic is counted, memory is the sum of what one
 * layer holds at its peak; neither looks at weights.
 *
 * @param calibrationTokens tokens read
 * @param forwardFlops floating-point operations of the calibration text's way through all layers
 * @param momentFlops of the second moments of all linear inputs
 * @param searchFlops of the losses of all candidates, and of the clips
 * @param tuningFlops of the steps after the last layer
 * @param streamBytes the calibration text's activations, which live from the first layer to the last
 * @param heapBytes what must be on the heap at a time: the stream, one layer's weights and second moments in fp32,
 *     scratch of the search
 */
public record QuantizationCost(
        long calibrationTokens,
        double forwardFlops,
        double momentFlops,
        double searchFlops,
        double tuningFlops,
        long streamBytes,
        long heapBytes) {
    /** What the Java runtime, the tokenizer and the mapped pages in use take beside the heap. */
    private static final long RUNTIME_BYTES = 300_000_000L;

    /**
     * The share of the heap that fills with short-lived arrays before the collector looks (NewRatio 2, the JVM's
     * default).
     */
    private static final double YOUNG_SHARE = 1.0 / 3;

    private static final int FLOAT_BYTES = Float.BYTES;

    /**
     * Output errors that are computed beside those of the candidates: of plain rounding, before and after clipping, and
     * of W itself.
     */
    private static final int PASSES_BESIDE = 4;

    /**
     * Counts a run.
     *
     * @param samples calibration blocks, for a backend of the host
     * @param sequenceLength tokens of a block
     */
    public static QuantizationCost of(
            ModelConfig config, Method method, QuantizationSpec spec, int samples, int sequenceLength) {
        if (method == Method.BEST) {
            return ofFitting(config, spec, samples, sequenceLength);
        }
        int candidates = method == Method.AWQ ? ScaleSearch.candidates() : 0;
        long tokens = candidates == 0 ? 0 : (long) samples * sequenceLength;
        long parameters = 0;
        long largest = 0;
        double search = 0;
        double passed = 0;
        for (StoredLinear linear : Work.linears(config)) {
            long in = linear.inFeatures();
            long out = linear.outFeatures();
            parameters += in * out;
            passed += Work.share(config, linear) * in * out;
            largest = Math.max(largest, in * out);
            search += 2.0 * candidates * out * in * in;
            if (method == Method.AWQ) {
                search += Work.clip(out, in, spec);
            }
        }
        double moments = 0;
        long momentElements = 0;
        for (StoredLinear reader : Work.readers(config)) {
            long in = reader.inFeatures();
            moments += 2.0 * tokens * Work.share(config, reader) * in * in;
            boolean turns =
                    reader.linear() == Linear.GATE && reader.module().expert().isPart();
            momentElements += turns ? 0 : in * in;
        }
        List<List<Expert>> turns = turns(config);
        momentElements += turns.stream()
                .mapToLong(turn -> turn.stream()
                        .mapToLong(expert -> config.width(LinearInput.GATE_UP, expert))
                        .map(in -> in * in)
                        .sum())
                .max()
                .orElse(0);
        double forward = 2.0 * passed * tokens + attention(config, tokens, sequenceLength);
        long stream = tokens * config.hiddenSize();
        long kept = turns.size() > 1 ? stream : 0;
        // One block's activations: hidden, normed, q, k, v, attention, gate, up.
        long activations =
                candidates == 0 ? 0 : (long) sequenceLength * (2L * config.hiddenSize() + LayerScratch.columns(config));
        // The weights of a layer in fp32, and for the largest linear its scaled form, its error and the error times C.
        long elements = stream + kept + activations + momentElements + parameters + 3 * largest;
        return new QuantizationCost(
                tokens,
                forward * config.layers(),
                moments * config.layers(),
                search * config.layers(),
                0,
                stream * FLOAT_BYTES,
                elements * FLOAT_BYTES);
    }

    /** The experts of the last layer whose gates and ups have moments together. */
    private static List<List<Expert>> turns(ModelConfig config) {
        List<Expert> experts =
                config.experts(config.layers() - 1).map(Experts::all).orElse(List.of());
        return ExpertTurns.of(config, experts, LinearInput.GATE_UP, Streams.ONE.moments(), ExpertTurns.ELEMENTS);
    }

    private static QuantizationCost ofFitting(
            ModelConfig config, QuantizationSpec spec, int samples, int sequenceLength) {
        long tokens = (long) samples * sequenceLength;
        FittingCost layer = new FittingCost(config, spec, tokens);
        long parameters = 0;
        long largest = 0;
        for (StoredLinear linear : Work.linears(config)) {
            long size = (long) linear.inFeatures() * linear.outFeatures();
            parameters += size;
            largest = Math.max(largest, size);
        }
        long streams = 2 * tokens * config.hiddenSize();
        long elements = streams + layer.momentElements() + parameters + 8 * largest;
        return new QuantizationCost(
                tokens,
                layer.forwardFlops(attention(config, tokens, sequenceLength)) * config.layers(),
                layer.momentFlops(_ -> 0.5) * config.layers(),
                layer.searchFlops() * config.layers(),
                0,
                streams * FLOAT_BYTES,
                elements * FLOAT_BYTES);
    }

    private static double attention(ModelConfig config, long tokens, int sequenceLength) {
        return 2.0 * tokens * sequenceLength * config.heads() * config.headDim();
    }

    /**
     * Returns the same on a card: half of each symmetric product is left out, the stream and the work are on the card,
     * and on the heap are the codes of one layer made, one waiting and one being packed, and its packed form.
     */
    public static QuantizationCost onCuda(
            ModelConfig config, Method method, QuantizationSpec spec, int samples, int sequenceLength) {
        QuantizationCost host = of(config, method, spec, samples, sequenceLength);
        double moments = 0;
        long codes = 0;
        double search = 0;
        int passes = method == Method.AWQ ? ScaleSearch.candidates() + PASSES_BESIDE : 0;
        for (StoredLinear linear : Work.linears(config)) {
            int in = linear.inFeatures();
            double out = linear.outFeatures();
            codes += (long) (out * in * (1.0 / spec.codesPerByte() + 0.125));
            search += 2.0 * passes * out * in * in * CudaCalibration.productShare(in);
        }
        for (StoredLinear reader : Work.readers(config)) {
            int in = reader.inFeatures();
            moments += 2.0
                    * host.calibrationTokens
                    * Work.share(config, reader)
                    * in
                    * in
                    * CudaCalibration.productShare(in);
        }
        if (method == Method.BEST) {
            FittingCost layer = new FittingCost(config, spec, host.calibrationTokens);
            moments = layer.momentFlops(CudaCalibration::productShare);
            search = layer.cardSearchFlops();
        }
        return new QuantizationCost(
                host.calibrationTokens,
                host.forwardFlops,
                moments * config.layers(),
                search * config.layers(),
                0,
                host.streamBytes,
                4 * codes);
    }

    /**
     * Returns the same with the steps that tune the model, after all else.
     *
     * @param onCard whether a card takes them
     */
    public QuantizationCost tuned(TuningCost tuning, boolean onCard) {
        double flops = tuning.work();
        return flops == 0
                ? this
                : new QuantizationCost(
                        calibrationTokens,
                        forwardFlops,
                        momentFlops,
                        searchFlops,
                        flops,
                        streamBytes,
                        Math.max(heapBytes, onCard ? tuning.cardHeapBytes() : tuning.heapBytes()));
    }

    /** Returns how many bytes of memory are taken at the peak in a JVM whose heap may take so many. */
    public long peakHostBytes(long maxHeapBytes) {
        return Math.min(Math.max(heapBytes, maxHeapBytes), heapBytes + (long) (maxHeapBytes * YOUNG_SHARE))
                + RUNTIME_BYTES;
    }

    /** Returns the heap that the run needs, with room for the collector to work in. */
    public long neededHeapBytes() {
        return (long) (heapBytes / (1 - YOUNG_SHARE));
    }

    /** Returns all floating-point operations. */
    public double flops() {
        return forwardFlops + momentFlops + searchFlops + tuningFlops;
    }
}
