package nibble.cli.command;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import nibble.calibrate.QuantizationCost;
import nibble.calibrate.job.Method;
import nibble.calibrate.job.QuantizeOptions;
import nibble.calibrate.tune.TuningCost;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.GgufLocation;
import nibble.checkpoint.inspect.ModelShape;
import nibble.checkpoint.model.ModelConfig;
import nibble.cli.option.CalibrationOptions;
import nibble.cli.option.DeviceOptions;
import nibble.cli.option.JsonOption;
import nibble.cli.option.ModelArgument;
import nibble.cli.option.OpenedModel;
import nibble.cli.option.QuantizationOptions;
import nibble.cli.terminal.ExitCode;
import nibble.cli.terminal.Figures;
import nibble.cli.terminal.Table;
import nibble.cli.terminal.Terminal;
import nibble.convert.CheckpointPlan;
import nibble.engine.backend.Backend;
import nibble.engine.backend.CalibrationMemory;
import nibble.engine.backend.GradientOperations;
import nibble.engine.backend.QuantizationDevices;
import nibble.engine.backend.Streams;
import nibble.engine.gradient.DivergencePass;
import nibble.files.Reasons;
import nibble.pack.QuantizationSpec;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

@Command(
        name = "plan",
        description = "Predicts the exact output bytes of a quantization, its memory and disk use, and its time. Writes"
                + " nothing; a config.json is enough.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class PlanCommand implements Callable<Integer> {
    /** The driver's own memory, cuBLAS, and the pinned rings. */
    private static final long CUDA_HOST_BYTES = 1_500_000_000L;

    /**
     * The share of the rate of products alone, on a cool card, that a whole run reached on an H100
     * (docs/benchmarks.md).
     */
    private static final double CUDA_EFFICIENCY = 0.87;

    /** The share of that rate that steps of tuning reached there: their products are TF32. */
    private static final double CUDA_STEP_SHARE = 0.42;

    /** What each of several cards that share the work does of what it does alone. */
    private static final double CARD_GAIN = 0.85;

    /** What starting, compiling kernels, and reading and encoding the calibration text take beside a card. */
    private static final double CUDA_START_SECONDS = 5;

    /** What a layer takes there beside arithmetic: launches, small kernels, its files. */
    private static final double CUDA_LAYER_SECONDS = 0.15;

    /** The same in each step of tuning. */
    private static final double CUDA_STEP_LAYER_SECONDS = 1e-3;

    /** The same for each token of a step and each number that a layer keeps of it. */
    private static final double CUDA_TAPE_SECONDS = 8.8e-11;

    /** What that comes to at most for a token: wide layers fill the card. */
    private static final double CUDA_MOST_TOKEN_SECONDS = 1e-6;

    /**
     * Operations for which a thread needs a second beside the time of their products: small models have small matrices,
     * and their weights are unpacked again and again. By two runs of wiki-7m, with AMX and with AVX2 alone
     * (docs/method-best.md, docs/benchmarks.md).
     */
    private static final double CPU_BESIDE_PRODUCTS = 125e9;

    /** The same of tuning. */
    private static final double CPU_BESIDE_TUNING = 45e9;

    /** What starting, and reading and encoding the calibration text take there. */
    private static final double CPU_START_SECONDS = 12;

    private final Terminal terminal;

    @Parameters(
            paramLabel = "MODEL|CONFIG|SHAPE",
            description = "A config.json alone, the name of a shape such as llama-2-70b, or a checkpoint. "
                    + ModelArgument.DESCRIPTION)
    @SuppressWarnings("NullAway.Init")
    private ModelArgument source;

    private Path model = Path.of("");

    @Mixin
    private QuantizationOptions quantization = new QuantizationOptions();

    @Mixin
    private CalibrationOptions calibration = new CalibrationOptions();

    @Mixin
    private DeviceOptions device = new DeviceOptions();

    @Mixin
    private JsonOption json = new JsonOption();

    PlanCommand(Terminal terminal) {
        this.terminal = terminal;
    }

    record Shard(String file, long bytes) {}

    /**
     * The plan's figures.
     *
     * @param weightFileBytes shards and index, exact
     * @param outputBytes with the config files and what is carried over, without the report
     * @param steps of tuning after all layers are made
     * @param movesCodes whether they move codes beside scales and norms
     * @param stepSeconds of all of them, a part of the estimate
     * @param stepDevices cards that share them, or 1
     * @param tuningStateBytes twice these should be free beside the output, so that unfinished tuning can be saved
     * @param calibrationStreamBytes twice these should be free beside the output, so that a long run can save its
     *     stream
     * @param peakHostBytes with the heap that this JVM may take
     * @param neededHeapBytes the heap should allow for at least these
     * @param heapBytes the heap of this JVM allows for these
     * @param expertsOnHost whether routed experts stay on the host, and come to the device for each product; that takes
     *     time beside the estimate
     * @param expertTurns in which a device makes moments of gates and ups of experts, or 0
     * @param inputBytes fp16 tensors read; null where only a config is at hand
     */
    record Plan(
            long weightFileBytes,
            long outputBytes,
            @Nullable Long inputBytes,
            List<Shard> shards,
            long diskBytes,
            long calibrationStreamBytes,
            long peakHostBytes,
            long neededHeapBytes,
            long heapBytes,
            long peakDeviceBytes,
            boolean expertsOnHost,
            int expertTurns,
            long calibrationTokens,
            int steps,
            boolean movesCodes,
            double stepSeconds,
            int stepDevices,
            long tuningStateBytes,
            double flops,
            double measuredFlopsPerSecond,
            double estimatedSeconds) {}

    @Override
    public Integer call() {
        boolean shape = !source.exists() && ModelShape.named(source.text()).isPresent();
        if (!shape) {
            source.require();
        }
        calibration.check();
        quantization.check();
        json.requireWritable();
        model = shape ? Path.of(source.text()) : source.folder(terminal);
        Plan plan;
        try (QuantizationDevices devices = device.openForQuantization(terminal, quantization.method())) {
            devices.members().getFirst().makeCurrent();
            plan = plan(devices.members().getFirst(), devices.members().size());
        }
        json.write(terminal, plan);
        if (!json.toStandardOutput()) {
            print(plan);
        }
        return ExitCode.DONE;
    }

    /** @param cards of the kind of the backend that share the work, itself one of them; 1 on a CPU */
    private Plan plan(Backend backend, int cards) {
        ModelConfig config;
        long sideBytes = 0;
        Long inputBytes = null;
        if (Files.isDirectory(model) || GgufLocation.isGguf(model)) {
            try (Checkpoint checkpoint = OpenedModel.open(terminal, model)) {
                config = checkpoint.config();
                inputBytes = checkpoint.tensorBytes();
                for (Path side : checkpoint.sideFiles()) {
                    sideBytes += Files.size(side);
                }
                for (byte[] made : checkpoint.madeFiles().values()) {
                    sideBytes += made.length;
                }
            } catch (IOException e) {
                throw new UncheckedIOException(model + ": a file cannot be read: " + Reasons.of(e), e);
            }
        } else {
            Optional<ModelShape> shape =
                    Files.exists(model) ? Optional.empty() : ModelShape.named(String.valueOf(model));
            config = shape.map(ModelShape::config).orElseGet(() -> ModelConfig.read(model));
        }
        QuantizationOptions.Asked asked = quantization.options(
                config,
                Files.isDirectory(model) ? model.resolve("config.json") : model,
                calibration.sequenceLength(quantization.method()),
                backend,
                device.threads,
                false,
                terminal);
        QuantizeOptions options = asked.options();
        QuantizationSpec spec = options.spec();
        CheckpointPlan output = CheckpointPlan.of(config, quantization.format(), spec, quantization.maxShardBytes());
        long heap = Runtime.getRuntime().maxMemory();
        int samples = samples(asked.samples());
        Estimate estimate = estimate(config, options, samples, backend, cards, heap);
        QuantizationCost cost = estimate.cost();
        long outputBytes = output.fileBytes() + sideBytes;
        List<Shard> shards = new ArrayList<>();
        output.shards().shards().forEach(shard -> shards.add(new Shard(shard.fileName(), shard.fileBytes())));
        return new Plan(
                output.shardBytes(),
                outputBytes,
                inputBytes,
                shards,
                outputBytes,
                cost.streamBytes(),
                estimate.peakHostBytes(),
                cost.neededHeapBytes(),
                heap,
                estimate.peakDeviceBytes(),
                estimate.expertsOnHost(),
                estimate.expertTurns(),
                cost.calibrationTokens() == 0 ? 0 : (long) samples * calibration.sequenceLength(options.method()),
                options.steps(),
                options.movesCodes(),
                estimate.stepSeconds(),
                estimate.stepDevices(),
                TuningCost.stateBytes(config, options),
                cost.flops(),
                estimate.flopsPerSecond(),
                estimate.seconds());
    }

    /**
     * Blocks that the model's tokenizer makes of the text; the number asked for, or the most, where it has none at
     * hand.
     */
    private int samples(int usual) {
        boolean calibrates = quantization.method() != Method.RTN
                && Files.exists(model)
                && !model.toString().endsWith(".json");
        return calibrates
                ? calibration
                        .read(terminal, model, quantization.method(), usual)
                        .blocks()
                        .length
                : calibration.samples(usual);
    }

    /**
     * @param flopsPerSecond that the run is expected to reach
     * @param seconds of all
     * @param stepSeconds of them those of the steps of tuning
     */
    private record Estimate(
            QuantizationCost cost,
            long peakHostBytes,
            long peakDeviceBytes,
            boolean expertsOnHost,
            int expertTurns,
            double flopsPerSecond,
            double seconds,
            double stepSeconds,
            int stepDevices) {}

    private Estimate estimate(
            ModelConfig config, QuantizeOptions options, int samples, Backend backend, int cards, long heap) {
        QuantizationSpec spec = options.spec();
        int fitted = Math.min(samples, options.best().fitBlocks());
        int length = calibration.sequenceLength(options.method());
        TuningCost tuning = new TuningCost(config, options, (long) samples * length, length);
        Streams streams = options.method() == Method.BEST ? Streams.PAIR : Streams.ONE;
        Optional<CalibrationMemory> peak = backend.calibrationMemory(config, streams, fitted, length);
        if (peak.isEmpty()) {
            QuantizationCost cost = QuantizationCost.of(config, options.method(), spec, fitted, length)
                    .tuned(tuning, false);
            double rate = backend.productFlopsPerSecond();
            double tuningSeconds = 1 / rate + 1 / (CPU_BESIDE_TUNING * device.threads);
            double steps = tuning.stepsWork() * tuningSeconds;
            double seconds =
                    (cost.flops() - cost.tuningFlops()) * (1 / rate + 1 / (CPU_BESIDE_PRODUCTS * device.threads))
                            + cost.tuningFlops() * tuningSeconds
                            + (cost.calibrationTokens() == 0 ? 0 : CPU_START_SECONDS);
            return new Estimate(cost, cost.peakHostBytes(heap), 0, false, 0, rate, seconds, steps, 1);
        }
        QuantizationCost cost = QuantizationCost.onCuda(config, options.method(), spec, fitted, length)
                .tuned(tuning, true);
        long device = peak.get().device();
        long pinned = peak.get().pinned();
        int sharing = tuning.shape(backend.gradients()).devices(cards);
        if (options.steps() > 0) {
            GradientOperations.Room room = tuning.room(backend.gradients(), cards);
            device = Math.max(device, room.device());
            pinned = Math.max(pinned, sharing * room.pinned() + tuning.stateBytes());
        }
        double rate = CUDA_EFFICIENCY * backend.productFlopsPerSecond();
        double start = cost.calibrationTokens() == 0 ? 0 : CUDA_START_SECONDS;
        double layers = (cost.flops() - cost.tuningFlops()) / rate / gain(cards) + config.layers() * CUDA_LAYER_SECONDS;
        double passes = (cost.tuningFlops() - tuning.stepsWork()) / rate;
        double steps =
                (tuning.stepsWork() / (CUDA_STEP_SHARE * rate) + smallWork(config, options, tuning)) / gain(sharing);
        return new Estimate(
                cost,
                cost.peakHostBytes(heap) + pinned + CUDA_HOST_BYTES,
                device,
                peak.get().expertsOnHost(),
                peak.get().expertTurns(),
                rate,
                start + layers + passes + steps,
                steps,
                sharing);
    }

    private static double gain(int cards) {
        return cards == 1 ? 1 : CARD_GAIN * cards;
    }

    /** What steps take however fast a card multiplies, which is most of a small model's time. */
    private static double smallWork(ModelConfig config, QuantizeOptions options, TuningCost tuning) {
        double token = Math.min(CUDA_MOST_TOKEN_SECONDS, CUDA_TAPE_SECONDS * DivergencePass.tapeColumns(config));
        double step = CUDA_STEP_LAYER_SECONDS + token * tuning.sequences() * tuning.length();
        return config.layers() * options.steps() * step;
    }

    private void print(Plan plan) {
        var out = terminal.out();
        List<List<String>> rows = new ArrayList<>();
        if (plan.inputBytes() != null) {
            rows.add(List.of("weights to read", Figures.bytes(plan.inputBytes())));
        }
        rows.add(List.of("weights to write", Figures.bytes(plan.weightFileBytes())));
        rows.add(List.of("  exactly", String.format(java.util.Locale.ROOT, "%,d bytes", plan.weightFileBytes())));
        for (Shard shard : plan.shards()) {
            rows.add(List.of("  " + shard.file(), Figures.bytes(shard.bytes())));
        }
        rows.add(List.of("disk needed", Figures.bytes(plan.diskBytes())));
        if (plan.calibrationStreamBytes() > 0) {
            rows.add(List.of(
                    "  and to save the calibration stream, if free", Figures.bytes(2 * plan.calibrationStreamBytes())));
        }
        if (plan.tuningStateBytes() > 0) {
            rows.add(List.of("  and to save unfinished tuning, if free", Figures.bytes(2 * plan.tuningStateBytes())));
        }
        rows.add(List.of("host memory at the peak", Figures.bytes(plan.peakHostBytes())));
        if (plan.peakDeviceBytes() > 0) {
            rows.add(List.of("device memory at the peak", Figures.bytes(plan.peakDeviceBytes())));
        }
        if (plan.expertsOnHost()) {
            rows.add(List.of("  experts stay on the host, and", "come one at a time: longer than below"));
        }
        if (plan.expertTurns() > 1) {
            rows.add(List.of("  gates and ups of experts have moments", "in " + plan.expertTurns() + " turns"));
        }
        if (plan.heapBytes() < plan.neededHeapBytes()) {
            rows.add(List.of(
                    "  needs NIBBLE_JAVA_OPTS=-Xmx" + (plan.neededHeapBytes() / (1 << 20) + 1) + "m",
                    Figures.bytes(plan.heapBytes()) + " of heap now"));
        }
        rows.add(List.of("calibration tokens", String.format(java.util.Locale.ROOT, "%,d", plan.calibrationTokens())));
        if (plan.steps() > 0) {
            rows.add(List.of(
                    "steps of tuning", plan.steps() + (plan.movesCodes() ? ", codes move" : ", codes stay as fitted")));
        }
        rows.add(List.of("arithmetic", Figures.decimals(plan.flops() / 1e12, 2) + " TFLOP"));
        rows.add(List.of(
                "time at this machine's " + Figures.decimals(plan.measuredFlopsPerSecond() / 1e9, 0) + " GFLOP/s",
                "about " + Figures.duration(plan.estimatedSeconds())));
        if (plan.steps() > 0) {
            String cards = plan.stepDevices() > 1 ? ", on " + plan.stepDevices() + " cards" : "";
            rows.add(List.of("  of it the steps of tuning" + cards, "about " + Figures.duration(plan.stepSeconds())));
        }
        new Table(List.of(String.valueOf(model.getFileName()), ""), rows)
                .lines()
                .forEach(out::println);
        out.flush();
    }
}
