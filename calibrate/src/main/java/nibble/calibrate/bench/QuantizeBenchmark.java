package nibble.calibrate.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.SplittableRandom;
import nibble.calibrate.CheckpointQuantizer;
import nibble.calibrate.Quantizer;
import nibble.calibrate.job.ProgressListener;
import nibble.calibrate.job.QuantizationJob;
import nibble.calibrate.job.QuantizationReport;
import nibble.calibrate.job.QuantizeOptions;
import nibble.calibrate.journal.FinishedLayer;
import nibble.calibrate.journal.LayerJournal;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.TensorNames;
import nibble.checkpoint.tensor.TensorSpec;
import nibble.checkpoint.tensor.TensorView;
import nibble.datasets.TokenBlocks;
import nibble.engine.RandomWeights;
import nibble.engine.backend.Backend;
import nibble.engine.backend.QuantizationDevices;
import nibble.engine.backend.Workers;
import nibble.files.output.StopSignal;

/**
 * Times the pipeline as it is, on random weights that lie in memory and random tokens: everything but reading shards
 * and writing the output's. Packed layers are counted and dropped.
 */
public final class QuantizeBenchmark {
    private QuantizeBenchmark() {}

    /**
     * Holds the measured figures.
     *
     * @param firstLayerSeconds with the compilation of kernels
     * @param layerSeconds mean of the layers after the first, whose stages {@code report} has too; of the first if it
     *     is the only
     * @param packedBytes of the packed layers
     * @param peakDeviceBytes of the device that took most; 0 on a CPU
     */
    public record Result(
            double firstLayerSeconds,
            double layerSeconds,
            long packedBytes,
            long peakDeviceBytes,
            QuantizationReport.Times times) {}

    /**
     * Measures.
     *
     * @param config shape of the model; all its layers are in memory at once
     * @param seed of weights and tokens
     */
    public static Result run(
            ModelConfig config,
            long seed,
            int samples,
            int sequenceLength,
            QuantizeOptions options,
            QuantizationDevices devices,
            ProgressListener listener,
            StopSignal stop) {
        Counter counter = new Counter();
        QuantizationReport report;
        try (Workers workers = new Workers(options.threads());
                Checkpoint source = source(config, seed, workers)) {
            Optional<TokenBlocks> blocks = Optional.of(tokens(config, seed, samples, sequenceLength));
            report = Quantizer.run(
                    new QuantizationJob(source, blocks, options),
                    devices,
                    CheckpointQuantizer.packer(config, options),
                    counter,
                    listener,
                    stop);
        }
        QuantizationReport.Times times = Objects.requireNonNull(report.times());
        List<Double> seconds =
                times.layerSeconds().stream().map(Objects::requireNonNull).toList();
        double steady = seconds.stream()
                .skip(seconds.size() > 1 ? 1 : 0)
                .mapToDouble(s -> s)
                .average()
                .orElse(0);
        return new Result(
                seconds.getFirst(),
                steady,
                counter.bytes,
                devices.members().stream()
                        .mapToLong(Backend::peakDeviceBytes)
                        .max()
                        .orElse(0),
                times);
    }

    private static final class Counter implements LayerJournal {
        private long bytes;

        @Override
        public void append(FinishedLayer layer) {
            bytes += layer.tensors().stream()
                    .mapToLong(tensor -> tensor.data().byteSize())
                    .sum();
        }
    }

    private static Checkpoint source(ModelConfig config, long seed, Workers workers) {
        Arena arena = Arena.ofShared();
        RandomWeights weights = new RandomWeights(config, seed, workers);
        List<TensorView> tensors = new ArrayList<>();
        for (TensorSpec spec : config.tensors()) {
            if (!spec.name().equals(TensorNames.HEAD)) {
                MemorySegment data = arena.allocate(spec.bytes(), 64);
                weights.fill(spec, data);
                tensors.add(new TensorView(spec.name(), spec.dtype(), spec.shape(), data));
            }
        }
        return Checkpoint.inMemory(Path.of("random weights"), config, tensors, arena);
    }

    private static TokenBlocks tokens(ModelConfig config, long seed, int samples, int sequenceLength) {
        SplittableRandom random = new SplittableRandom(seed);
        int[][] blocks = new int[samples][sequenceLength];
        for (int[] block : blocks) {
            for (int i = 0; i < block.length; i++) {
                block[i] = random.nextInt(config.vocabularySize());
            }
        }
        return new TokenBlocks(blocks, (long) samples * sequenceLength, "random tokens");
    }
}
