package nibble.cli.command;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import nibble.calibrate.Quantizer;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.gguf.GgufType;
import nibble.checkpoint.inspect.ModelShape;
import nibble.checkpoint.model.ModelConfig;
import nibble.cli.option.CacheOption;
import nibble.cli.option.GroupSize;
import nibble.cli.option.JsonOption;
import nibble.cli.option.ModelArgument;
import nibble.cli.option.ModelDevice;
import nibble.cli.option.OpenedModel;
import nibble.cli.option.ShapeOptions;
import nibble.cli.option.UsageException;
import nibble.cli.terminal.ExitCode;
import nibble.cli.terminal.Figures;
import nibble.cli.terminal.Table;
import nibble.cli.terminal.Terminal;
import nibble.convert.gguf.GgufMix;
import nibble.engine.attention.CacheType;
import nibble.engine.backend.Backend;
import nibble.engine.bench.BatchBenchmark;
import nibble.engine.bench.BatchTimings;
import nibble.engine.bench.EngineBenchmark;
import nibble.engine.bench.EngineTimings;
import nibble.engine.bench.ModelBenchmark;
import nibble.engine.bench.ModelTimings;
import nibble.pack.QuantizationSpec;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
        name = "engine",
        description = "Times the engine on a checkpoint, or on random weights of a shape: prefill, decoding, and each"
                + " operation.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class EngineBenchCommand implements Callable<Integer> {
    private final Terminal terminal;

    @Option(
            names = "--model",
            paramLabel = "MODEL",
            description = "Time this checkpoint or GGUF file instead of random weights, on one sequence: reading"
                    + " --seq-len tokens (default: 512), then generating. " + ModelArgument.DESCRIPTION)
    private @Nullable ModelArgument source;

    @Mixin
    private ShapeOptions shape = new ShapeOptions();

    @Option(
            names = "--weights",
            paramLabel = "fp16|awq|TYPE",
            defaultValue = "awq",
            description = "Type of the linears' weights: fp16, awq, or a mix or type of GGUF, as Q4_K_M or IQ4_XS."
                    + " Default: ${DEFAULT-VALUE}.")
    private String weights = "awq";

    @Mixin
    private GroupSize groupSize = new GroupSize();

    @Option(names = "--sequences", paramLabel = "N", defaultValue = "4", description = "Default: ${DEFAULT-VALUE}.")
    private int sequences = 4;

    @Option(
            names = "--seq-len",
            paramLabel = "N",
            description = "Tokens of a sequence. Default: 4096, or 512 with --model.")
    private @Nullable Integer tokens;

    @Option(
            names = "--decode-context",
            paramLabel = "N",
            defaultValue = "128",
            description = "Tokens before the first generated token. Default: ${DEFAULT-VALUE}.")
    private int decodeContext = 128;

    @Option(
            names = "--decode-tokens",
            paramLabel = "N",
            defaultValue = "128",
            description = "Tokens to generate, 0 for none. Default: ${DEFAULT-VALUE}.")
    private int decodeTokens = 128;

    @Option(
            names = "--together",
            paramLabel = "N,...",
            split = ",",
            description = "Time steps of so many sequences at once instead, as 1,16,64: each gets its next token after"
                    + " --decode-context tokens, --decode-tokens times.")
    private List<Integer> together = List.of();

    @Option(
            names = "--prompts",
            paramLabel = "N",
            description = "With --together: also time the answers to N prompts, as many at once as the last number of"
                    + " --together. A prompt has --seq-len tokens, an answer half to one and a half of"
                    + " --decode-tokens.")
    private int prompts;

    @Mixin
    private CacheOption cache = new CacheOption();

    @Mixin
    private ModelDevice device = new ModelDevice();

    @Mixin
    private JsonOption json = new JsonOption();

    EngineBenchCommand(Terminal terminal) {
        this.terminal = terminal;
    }

    @Override
    public Integer call() {
        int tokens = this.tokens == null ? source == null ? 4096 : 512 : this.tokens;
        if (sequences < 1 || tokens < 2 || decodeContext < 1 || decodeTokens < 0) {
            throw new UsageException(
                    "--sequences, --seq-len and --decode-context must be positive, --decode-tokens 0 or more");
        }
        if (prompts < 0 || together.stream().anyMatch(n -> n < 1) || prompts > 0 && together.isEmpty()) {
            throw new UsageException("--together must name positive numbers, and --prompts needs it");
        }
        if (!together.isEmpty() && (source != null || decodeTokens < 1)) {
            throw new UsageException("--together times random weights, at least 1 of --decode-tokens");
        }
        if (cache.type() != CacheType.AUTO && together.isEmpty()) {
            throw new UsageException("--kv-cache-dtype int8 is for sequences at once; give --together too");
        }
        json.requireWritable();
        if (source != null) {
            time(source, tokens);
            return ExitCode.DONE;
        }
        ModelShape model = shape.shape();
        EngineBenchmark.BlockTypes blocks = switch (weights) {
            case "fp16", "awq" -> null;
            default -> blocks(model.config());
        };
        QuantizationSpec spec =
                weights.equals("awq") ? new QuantizationSpec(4, groupSize.of(model.config(), terminal)) : null;
        if (spec != null) {
            Quantizer.requireFits(model.config(), Path.of(model.name()), spec);
        }
        int all = ModelShape.named(model.name()).orElse(model).layers();
        EngineBenchmark.Settings settings = new EngineBenchmark.Settings(
                model.config(), all, spec, blocks, sequences, tokens, decodeContext, decodeTokens);
        if (!together.isEmpty()) {
            timeTogether(model, settings, tokens);
            return ExitCode.DONE;
        }
        EngineTimings timings;
        try (Backend backend = device.openForGenerating(terminal)) {
            timings = EngineBenchmark.run(settings, backend, device.device.threads);
        }
        json.write(terminal, timings);
        if (!json.toStandardOutput()) {
            print(model, timings);
        }
        return ExitCode.DONE;
    }

    private EngineBenchmark.BlockTypes blocks(ModelConfig config) {
        Optional<GgufMix> mix = GgufMix.named(weights).filter(found -> found != GgufMix.F32 && found != GgufMix.BF16);
        if (mix.isPresent()) {
            return new EngineBenchmark.BlockTypes(
                    mix.get().name(),
                    mix.get().embedding(config),
                    mix.get().head(config),
                    (linear, layer) -> mix.get().linear(linear, layer, config));
        }
        GgufType type = Stream.of(GgufType.IQ4_NL, GgufType.IQ4_XS, GgufType.Q3_K)
                .filter(candidate -> candidate.name().equalsIgnoreCase(weights))
                .findFirst()
                .orElseThrow(() -> new UsageException(
                        "--weights " + weights + ": fp16, awq, or a mix or type of GGUF, as Q4_K_M or IQ4_XS"));
        return new EngineBenchmark.BlockTypes(type.name(), type, GgufType.Q6_K, (_, _) -> type);
    }

    private void time(ModelArgument source, int tokens) {
        source.require();
        ModelBenchmark.Settings settings =
                new ModelBenchmark.Settings(tokens, decodeContext, Math.max(1, decodeTokens));
        ModelTimings timings;
        try (Checkpoint checkpoint = OpenedModel.open(terminal, source.folder(terminal));
                Backend backend = device.openForGenerating(terminal)) {
            timings = ModelBenchmark.run(checkpoint, settings, backend, device.device.threads);
        } catch (IllegalArgumentException e) {
            throw new UsageException(e.getMessage());
        }
        json.write(terminal, timings);
        if (json.toStandardOutput()) {
            return;
        }
        line("%s on %s", source, timings.device());
        line("prefill of %d tokens: %,.1f tokens/s", timings.prefillTokens(), timings.prefillTokensPerSecond());
        line(
                "decoding after %d tokens: %,.2f tokens/s, %.2f GB/s of weights (%s a token)",
                timings.context(),
                timings.decodeTokensPerSecond(),
                timings.bytesPerSecond() / 1e9,
                Figures.bytes(timings.weightBytesPerToken()));
        line(
                "reading memory: %.2f GB/s, of which decoding reaches %.0f %%",
                timings.readBytesPerSecond() / 1e9, 100 * timings.bytesPerSecond() / timings.readBytesPerSecond());
        if (timings.deviceBytes() != null) {
            line("device memory: %s", Figures.bytes(timings.deviceBytes()));
        }
        if (timings.residentBytes() != null && timings.ownBytes() != null) {
            line(
                    "resident: %s, of which %s are no mapped files",
                    Figures.bytes(timings.residentBytes()), Figures.bytes(timings.ownBytes()));
        }
    }

    private void timeTogether(ModelShape model, EngineBenchmark.Settings settings, int promptTokens) {
        BatchBenchmark.Load load =
                prompts == 0 ? null : new BatchBenchmark.Load(prompts, together.getLast(), promptTokens, decodeTokens);
        BatchBenchmark.Settings batch =
                new BatchBenchmark.Settings(together, decodeContext, decodeTokens, load, cache.type());
        BatchTimings timings;
        try (Backend backend = device.openForGenerating(terminal)) {
            timings = EngineBenchmark.runBatch(settings, batch, backend, device.device.threads);
        }
        json.write(terminal, timings);
        if (json.toStandardOutput()) {
            return;
        }
        line("%s, %s weights, on %s", model.name(), weights, timings.device());
        for (BatchTimings.Step step : timings.steps()) {
            line(
                    "%d together after %d tokens: %.3f ms a step, %,.1f tokens/s; prompts at %,.0f tokens/s",
                    step.sequences(),
                    step.context(),
                    1e3 * step.seconds(),
                    step.tokensPerSecond(),
                    step.promptTokensPerSecond());
        }
        BatchTimings.Answers answers = timings.answers();
        if (answers != null) {
            line(
                    "%d prompts, %d together: %,d tokens read and %,d generated in %.1f s; a token waited %d steps at"
                            + " most, %d preemptions",
                    answers.prompts(),
                    answers.sequences(),
                    answers.promptTokens(),
                    answers.newTokens(),
                    answers.seconds(),
                    answers.longestWait(),
                    answers.preemptions());
        }
        if (timings.peakDeviceBytes() > 0) {
            line("most device memory taken: %s", Figures.bytes(timings.peakDeviceBytes()));
        }
        terminal.out().flush();
    }

    private void print(ModelShape model, EngineTimings timings) {
        EngineTimings.Prefill prefill = timings.prefill();
        line("%s, %s weights, %d layers in memory", model.name(), timings.weights(), timings.layers());
        line(
                "prefill of %d x %d tokens: %.2f ms a layer, %.1f TFLOP/s in linears, %,.0f tokens/s for all layers",
                prefill.sequences(),
                prefill.tokensPerSequence(),
                1e3 * prefill.secondsPerLayer(),
                prefill.linearFlopsPerSecond() / 1e12,
                prefill.tokensPerSecond());
        EngineTimings.Decode decode = timings.decode();
        if (decode != null) {
            line(
                    "decoding after %d tokens: %.3f ms a token, %.1f tokens/s, %.2f TB/s of weights",
                    decode.context(),
                    1e3 * decode.secondsPerToken(),
                    decode.tokensPerSecond(),
                    decode.bytesPerSecond() / 1e12);
        }
        if (timings.readBytesPerSecond() != null) {
            line("reading device memory: %.2f TB/s", timings.readBytesPerSecond() / 1e12);
        }
        if (timings.peakDeviceBytes() != null) {
            line("most device memory taken: %s", Figures.bytes(timings.peakDeviceBytes()));
        }
        List<List<String>> rows = new ArrayList<>();
        for (EngineTimings.Operation operation : timings.operations()) {
            rows.add(List.of(
                    operation.name(),
                    Integer.toString(operation.rows()),
                    Figures.decimals(1e6 * operation.seconds(), 1),
                    operation.flops() == 0 ? "" : Figures.decimals(operation.flops() / operation.seconds() / 1e12, 1),
                    operation.bytes() == 0 ? "" : Figures.decimals(operation.bytes() / operation.seconds() / 1e9, 0)));
        }
        terminal.out().println();
        new Table(List.of("operation", "rows", "us", "TFLOP/s", "GB/s"), rows)
                .lines()
                .forEach(terminal.out()::println);
        terminal.out().flush();
    }

    private void line(String format, Object... values) {
        terminal.out().println(String.format(java.util.Locale.ROOT, format, values));
    }
}
