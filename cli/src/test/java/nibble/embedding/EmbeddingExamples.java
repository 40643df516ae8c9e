package nibble.embedding;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.Consumer;
import java.util.function.DoubleConsumer;
import nibble.calibrate.CheckpointQuantizer;
import nibble.calibrate.job.Method;
import nibble.calibrate.job.ProgressListener;
import nibble.calibrate.job.QuantizationJob;
import nibble.calibrate.job.QuantizationReport;
import nibble.calibrate.job.QuantizeOptions;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.tensor.DType;
import nibble.convert.CheckpointConverter;
import nibble.convert.CheckpointConverter.Target;
import nibble.convert.ConversionReport;
import nibble.convert.gguf.GgufExporter;
import nibble.convert.gguf.GgufMix;
import nibble.convert.verify.CheckpointVerification;
import nibble.datasets.CalibrationText;
import nibble.datasets.TextDataset;
import nibble.datasets.TextStream;
import nibble.datasets.TokenBlocks;
import nibble.datasets.Tokenizer;
import nibble.datasets.Tokenizers;
import nibble.datasets.chat.StopIds;
import nibble.engine.Backends;
import nibble.engine.Generator;
import nibble.engine.Llama;
import nibble.engine.SamplingOptions;
import nibble.engine.backend.Backend;
import nibble.engine.backend.QuantizationDevices;
import nibble.eval.Perplexity;
import nibble.eval.PerplexityProgress;
import nibble.eval.PerplexityResult;
import nibble.files.output.StopSignal;
import nibble.hub.ModelName;
import nibble.hub.PublishRequest;
import nibble.hub.PublishRequest.Visibility;
import nibble.hub.PublishResult;
import nibble.hub.Publisher;
import nibble.hub.card.CardRequest;
import nibble.hub.card.ModelCard;
import nibble.hub.client.HubSettings;
import nibble.hub.client.RepoName;
import nibble.hub.client.TransferListener;
import nibble.pack.QuantizationSpec;

/**
 * The examples of docs/embedding.md, which holds each region to the letter; {@link EmbeddingExamplesTest} runs them.
 */
final class EmbeddingExamples {
    private static final int THREADS = Runtime.getRuntime().availableProcessors();

    private EmbeddingExamples() {}

    // region quantize
    static QuantizationReport quantize(Path model, Path out, int samples, ProgressListener progress, StopSignal stop) {
        try (Checkpoint source = Checkpoint.open(model);
                Tokenizer tokenizer = Tokenizers.ofModel(model);
                QuantizationDevices devices = QuantizationDevices.of(Backends.open("cpu", THREADS))) {
            TokenBlocks blocks = TokenBlocks.cutUpTo(tokenizer, CalibrationText.wikitext2(), samples, 512);
            QuantizationSpec spec = new QuantizationSpec(4, 128);
            QuantizeOptions options = new QuantizeOptions(Method.AWQ, spec, 10_000_000_000L);
            QuantizationJob job = new QuantizationJob(source, Optional.of(blocks), options);
            return CheckpointQuantizer.quantize(job, out, true, devices, progress, stop);
        }
    }
    // endregion

    // region progress
    static ProgressListener printing() {
        return new ProgressListener() {
            @Override
            public void note(String text) {
                System.out.println(text);
            }

            @Override
            public void progressed(double fraction) {
                System.out.printf("%.0f %%%n", 100 * fraction);
            }

            @Override
            public void layerFinished(int layer, QuantizationReport.Layer report, double seconds) {
                System.out.printf("layer %d took %.1f s%n", layer, seconds);
            }
        };
    }
    // endregion

    // region perplexity
    static PerplexityResult perplexity(Path model, int context, int windows) {
        try (Checkpoint checkpoint = Checkpoint.open(model);
                Tokenizer tokenizer = Tokenizers.ofModel(model);
                Backend backend = Backends.open("cpu", THREADS);
                Llama llama = Llama.load(checkpoint, backend)) {
            TextDataset text = TextDataset.wikitext2Test();
            return Perplexity.gptq(llama, tokenizer, text, context, OptionalInt.of(windows), PerplexityProgress.NONE);
        }
    }
    // endregion

    // region generate
    static void generate(Path model, String prompt, int mostTokens, Consumer<String> out) {
        try (Checkpoint checkpoint = Checkpoint.open(model);
                Tokenizer tokenizer = Tokenizers.ofModel(model);
                Backend backend = Backends.open("cpu", THREADS);
                Llama llama = Llama.load(checkpoint, backend)) {
            int[] ids = tokenizer.encode(prompt, true);
            TextStream text = new TextStream(tokenizer, List.of(), ids, out);
            Generator.generateWhile(llama, ids, SamplingOptions.GREEDY, mostTokens, StopIds.of(checkpoint), text::add);
            text.end();
        }
    }
    // endregion

    // region gguf
    static ConversionReport toGguf(Path model, Path out, DoubleConsumer progress) {
        try (Checkpoint source = Checkpoint.open(model)) {
            return GgufExporter.export(source, out, GgufMix.Q4_K_M, THREADS, progress);
        }
    }
    // endregion

    // region safetensors
    static ConversionReport toSafetensors(Path model, Path out, DoubleConsumer progress) {
        try (Checkpoint source = Checkpoint.open(model)) {
            Target fp16 = new Target.Safetensors(Optional.of(DType.F16));
            return CheckpointConverter.convert(source, out, fp16, 10_000_000_000L, progress);
        }
    }
    // endregion

    // region settings
    static HubSettings settings(Map<String, String> environment, Path home, Optional<String> token) {
        return HubSettings.fromEnvironment(environment, home, token);
    }
    // endregion

    // region publish
    static PublishResult publish(Path folder, RepoName repo, HubSettings settings) throws IOException {
        CheckpointVerification verification =
                CheckpointVerification.of(folder, Optional.empty(), THREADS, bytesRead -> {});
        if (verification.errors() > 0) {
            throw new IllegalStateException(verification.findings().toString());
        }
        CardRequest card = CardRequest.of(folder, repo.toString(), PublishRequest.MAIN);
        Files.writeString(folder.resolve(ModelCard.FILE_NAME), ModelCard.render(card));
        PublishRequest request = PublishRequest.of(folder, repo, Visibility.PRIVATE);
        return new Publisher(settings).publish(request, TransferListener.SILENT);
    }
    // endregion

    // region download
    static Path download(String model, HubSettings settings) {
        return new ModelName(model).resolve(settings, TransferListener.SILENT);
    }
    // endregion
}
