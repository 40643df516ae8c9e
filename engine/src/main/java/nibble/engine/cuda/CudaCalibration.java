package nibble.engine.cuda;

import java.util.List;
import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.Experts;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.LinearInput;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.StoredLinear;
import nibble.engine.backend.CalibrationMemory;
import nibble.engine.backend.LayerScratch;
import nibble.engine.backend.Streams;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.quantize.CudaInputStatistics;
import nibble.engine.cuda.quantize.CudaLinearQuantizer;
import nibble.engine.cuda.quantize.CudaPairedMoments;
import nibble.engine.cuda.quantize.QuantizationScratch;
import nibble.engine.quantize.ExpertTurns;

/** Counts what a quantization takes of a card and asks of it, from the config alone. */
public final class CudaCalibration {
    /** Workspace of cuBLAS, vectors, losses and codes of one linear, the driver's context. */
    private static final long SMALL_THINGS = 1L << 30;

    /** The part of a card's room that is filled where moments of experts take turns to fit. */
    private static final double FILLED = 0.9;

    private CudaCalibration() {}

    /** Of the last layer, which has experts if any has. */
    private static List<StoredLinear> linears(ModelConfig config) {
        return config.linears(config.layers() - 1);
    }

    private static List<Expert> expertsOf(ModelConfig config) {
        return config.experts(config.layers() - 1).map(Experts::all).orElse(List.of());
    }

    /**
     * What there must be room for beside the calibration streams while a layer is quantized: two layers, the second
     * moments, batches inside a layer, errors on trial.
     *
     * @param batchTokens tokens that go through a layer at a time
     * @param room bytes of the card that may be taken in all
     */
    static long beside(ModelConfig config, Streams streams, int batchTokens, long room) {
        return beside(config, streams, batchTokens, room, expertElements(config, streams, batchTokens, room));
    }

    private static long beside(ModelConfig config, Streams streams, int batchTokens, long room, long elements) {
        long layer = layer(config, !staysOnHost(config, room));
        return 2 * layer
                + SMALL_THINGS
                + switch (streams) {
                    case ONE -> whileSearching(config, batchTokens, elements);
                    // What is quantized of a layer so far lies there too.
                    case PAIR ->
                        layer
                                + Math.max(
                                        Math.max(whileAdding(config, batchTokens), whileFitting(config)),
                                        ofExperts(config, batchTokens, elements));
                };
    }

    /**
     * Returns how many elements moments of gates and ups of experts may have together on a card of so much room: all,
     * or those of as few turns as let all else fit.
     */
    static long expertElements(ModelConfig config, Streams streams, int batchTokens, long room) {
        int experts = expertsOf(config).size();
        long all = ExpertTurns.elements(config, expertsOf(config), LinearInput.GATE_UP, streams.moments());
        if (experts == 0 || beside(config, streams, batchTokens, room, all) <= room) {
            return all;
        }
        // All read the residual stream, so their moments are equally large.
        long each = all / experts;
        int together = experts;
        for (int turns = 2; together > 1; turns++) {
            together = (experts + turns - 1) / turns;
            if (beside(config, streams, batchTokens, room, together * each) <= FILLED * room) {
                break;
            }
        }
        return together * each;
    }

    private static List<List<Expert>> turns(ModelConfig config, LinearInput input, Streams streams, long elements) {
        return ExpertTurns.of(config, expertsOf(config), input, streams.moments(), elements);
    }

    /** Moments of all inputs, and what rounds on trial. */
    private static long whileSearching(ModelConfig config, int batchTokens, long elements) {
        long moments = 0;
        for (LinearInput input : LinearInput.values()) {
            if (expertsOf(config).isEmpty() || input != LinearInput.GATE_UP && input != LinearInput.DOWN) {
                moments += CudaInputStatistics.bytes(config.width(input));
            }
        }
        long most = 0;
        for (List<Expert> turn : turns(config, LinearInput.GATE_UP, Streams.ONE, elements)) {
            most = Math.max(most, moments(config, LinearInput.GATE_UP, turn));
        }
        moments += most + moments(config, LinearInput.DOWN, expertsOf(config));
        moments += config.experts()
                .map(experts -> 2L * batchTokens * experts.chosen() * config.hiddenSize())
                .orElse(0L);
        return moments + 2 * LayerScratch.columns(config) * batchTokens + scratch(config);
    }

    private static long moments(ModelConfig config, LinearInput input, List<Expert> experts) {
        return experts.stream()
                .mapToLong(expert -> CudaInputStatistics.bytes(config.width(input, expert)))
                .sum();
    }

    /** Moments of one input, a batch inside each of two layers, and what the one lacks of the other. */
    private static long whileAdding(ModelConfig config, int batchTokens) {
        long most = 0;
        for (LinearInput input : LinearInput.values()) {
            int residual = residual(config, input);
            most = Math.max(
                    most,
                    CudaPairedMoments.bytes(config.width(input), residual)
                            + 2L * batchTokens * (config.width(input) + residual));
        }
        return most + 4 * LayerScratch.columns(config) * batchTokens;
    }

    /** Moments of one input with their factor, and what is fitted. */
    private static long whileFitting(ModelConfig config) {
        long most = 0;
        for (LinearInput input : LinearInput.values()) {
            int columns = config.width(input);
            if (columns == 0) {
                continue;
            }
            long held = held(columns, residual(config, input));
            for (Linear linear : input.readers()) {
                int rows = config.outFeatures(linear);
                // A model has only some of the linears that could read an input.
                if (rows > 0) {
                    most = Math.max(most, held + CudaLinearQuantizer.fitBytes(rows, columns));
                }
            }
        }
        return most + scratch(config);
    }

    /** Moments with their factor, as they are from the first fit by them until they are closed. */
    private static long held(int columns, int residual) {
        long square = (long) columns * columns;
        return CudaPairedMoments.bytes(columns, residual)
                - CudaInputStatistics.bytes(columns)
                + DeviceMemory.rounded(Short.BYTES * square)
                + 2 * DeviceMemory.rounded(Float.BYTES * square);
    }

    /** Moments of one input of the experts of a turn, which are there together until the last of them is fitted. */
    private static long ofExperts(ModelConfig config, int batchTokens, long elements) {
        long most = 0;
        for (LinearInput input : List.of(LinearInput.GATE_UP, LinearInput.DOWN)) {
            for (List<Expert> turn : turns(config, input, Streams.PAIR, elements)) {
                long moments = 0;
                long fit = 0;
                for (Expert expert : turn) {
                    int columns = config.width(input, expert);
                    moments += held(columns, 0);
                    Linear linear = input.readers().getFirst();
                    fit = Math.max(fit, CudaLinearQuantizer.fitBytes(config.outFeatures(linear, expert), columns));
                }
                most = Math.max(most, moments + Math.max(fit, 4 * LayerScratch.columns(config) * batchTokens));
            }
        }
        return most == 0 ? 0 : most + scratch(config);
    }

    private static int residual(ModelConfig config, LinearInput input) {
        return input == LinearInput.O || input == LinearInput.DOWN ? config.hiddenSize() : 0;
    }

    private static long scratch(ModelConfig config) {
        int largest = 0;
        int widest = 0;
        for (StoredLinear linear : linears(config)) {
            largest = Math.max(largest, linear.outFeatures());
            widest = Math.max(widest, linear.inFeatures());
        }
        return QuantizationScratch.bytes(largest, widest);
    }

    /**
     * Predicts the most memory that a quantization takes.
     *
     * @param sequences blocks of the calibration text
     * @param sequenceLength tokens of a block
     * @param limit what may be taken of the card
     */
    public static CalibrationMemory peak(
            ModelConfig config, Streams streams, int sequences, int sequenceLength, long limit) {
        long tokens = (long) sequences * sequenceLength;
        int batchTokens =
                (int) Math.min(tokens, (long) Math.max(1, CudaBackend.BATCH_TOKENS / sequenceLength) * sequenceLength);
        long beside = beside(config, streams, batchTokens, limit);
        long stream = 2 * tokens * config.hiddenSize();
        long device = beside;
        long pinned = 0;
        for (int i = 0; i < streams.count(); i++) {
            if (device + stream <= limit) {
                device += stream;
            } else {
                device += 2 * DeviceMemory.rounded(2L * batchTokens * config.hiddenSize());
                pinned += stream;
            }
        }
        long elements = expertElements(config, streams, batchTokens, limit);
        int turns = turns(config, LinearInput.GATE_UP, streams, elements).size();
        if (turns > 1 && streams == Streams.ONE) {
            // What goes into the MLPs is kept for the turns.
            device += 2 * DeviceMemory.rounded(2L * batchTokens * config.hiddenSize());
            pinned += stream;
        }
        return new CalibrationMemory(device, pinned, staysOnHost(config, limit), turns);
    }

    /**
     * Returns the share of the products with {@code C} [columns, columns], or for it, that is made: strips from the
     * diagonal on.
     */
    public static double productShare(int columns) {
        double made = 0;
        for (int first = 0; first < columns; first += CudaInputStatistics.STRIP) {
            made += (double) Math.min(CudaInputStatistics.STRIP, columns - first) * (columns - first);
        }
        return made / columns / columns;
    }

    /** Whether routed experts stay on the host, of a card of so much room. */
    private static boolean staysOnHost(ModelConfig config, long room) {
        return !expertsOf(config).isEmpty() && !CudaLayerFeed.bringsExperts(2 * layer(config, true), room);
    }

    /** @param routed whether routed experts lie there; otherwise a product or a fit brings one of their linears */
    private static long layer(ModelConfig config, boolean routed) {
        long bytes = 0;
        long brought = 0;
        for (StoredLinear linear : linears(config)) {
            long its = 2L * linear.outFeatures() * linear.inFeatures();
            if (routed || !linear.module().expert().isRouted()) {
                bytes += its;
            } else {
                brought = Math.max(brought, its);
            }
        }
        return bytes + brought;
    }
}
