package nibble.convert;

import java.nio.file.Path;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What a checkpoint must hold by its config: names, shapes and types. */
final class ExpectedTensors {
    private static final Pattern LAYER = Pattern.compile("model\\.layers\\.(\\d{1,9})\\..*");

    private ExpectedTensors() {}

    static void check(Checkpoint checkpoint, Path configJson) {
        LlamaConfig config = checkpoint.config();
        requireFloat(checkpoint, TensorNames.EMBEDDING, Shape.of(config.vocabularySize(), config.hiddenSize()));
        Shape hidden = Shape.of(config.hiddenSize());
        for (int layer = 0; layer < config.layers(); layer++) {
            requireFloat(checkpoint, TensorNames.inputNorm(layer), hidden);
            requireFloat(checkpoint, TensorNames.postAttentionNorm(layer), hidden);
            for (LlamaLinear linear : LlamaLinear.values()) {
                if (config.quantization().isPresent()) {
                    requireAwq(checkpoint, linear, layer, config.quantization().get(), configJson);
                } else {
                    TensorSpec spec = config.spec(linear, layer);
                    requireFloat(checkpoint, spec.name(), spec.shape());
                }
            }
        }
        requireFloat(checkpoint, TensorNames.FINAL_NORM, hidden);
        if (!config.tiedEmbeddings()) {
            requireFloat(checkpoint, TensorNames.HEAD, Shape.of(config.vocabularySize(), config.hiddenSize()));
        }
        for (String name : checkpoint.names()) {
            refuseIfItWouldMatter(checkpoint, name);
        }
    }

    private static void requireAwq(
            Checkpoint checkpoint, LlamaLinear linear, int layer, QuantizationConfig quantization, Path configJson) {
        int in = checkpoint.config().inFeatures(linear);
        int out = checkpoint.config().outFeatures(linear);
        int group = quantization.groupSizeFor(in);
        String module = linear.module(layer);
        if (in % group != 0 || out % 8 != 0) {
            throw new BadCheckpointException(
                    configJson,
                    module + ": " + in + " input and " + out + " output features, AWQ needs a multiple of the group size "
                            + group + " and a multiple of 8; take the model's original config.json");
        }
        require(checkpoint, module + ".qweight", Shape.of(in, out / 8), DType.I32);
        require(checkpoint, module + ".qzeros", Shape.of(in / group, out / 8), DType.I32);
        require(checkpoint, module + ".scales", Shape.of(in / group, out), DType.F16);
    }

    /** The config's dtype is what loaders convert to; files of another float type are common and fine. */
    private static void requireFloat(Checkpoint checkpoint, String name, Shape shape) {
        TensorSpec found = requireShape(checkpoint, name, shape);
        if (!found.dtype().isWeight()) {
            throw new BadCheckpointException(
                    checkpoint.fileOf(name),
                    "tensor " + name + ": found type " + found.dtype() + ", expected F16, BF16 or F32; use the model's fp16 version");
        }
    }

    private static void require(Checkpoint checkpoint, String name, Shape shape, DType dtype) {
        TensorSpec found = requireShape(checkpoint, name, shape);
        if (found.dtype() != dtype) {
            throw new BadCheckpointException(
                    checkpoint.fileOf(name),
                    "tensor " + name + ": found type " + found.dtype() + ", an AWQ checkpoint has " + dtype
                            + " here; get a checkpoint in AutoAWQ's GEMM layout");
        }
    }

    private static TensorSpec requireShape(Checkpoint checkpoint, String name, Shape shape) {
        Optional<TensorSpec> found = checkpoint.stored(name).map(StoredTensor::spec);
        if (found.isEmpty()) {
            throw new BadCheckpointException(
                    checkpoint.folder(),
                    "tensor " + name + " " + shape + " is missing although config.json asks for it; get the whole checkpoint again");
        }
        if (!found.get().shape().equals(shape)) {
            throw new BadCheckpointException(
                    checkpoint.fileOf(name),
                    "tensor " + name + ": found shape " + found.get().shape() + ", config.json asks for " + shape
                            + "; config and weights are of different models, get both again");
        }
        return found.get();
    }

    /** Tensors nobody asked for are harmless, except those that say the config is not this model's. */
    private static void refuseIfItWouldMatter(Checkpoint checkpoint, String name) {
        Matcher layer = LAYER.matcher(name);
        if (layer.matches() && Integer.parseInt(layer.group(1)) >= checkpoint.config().layers()) {
            throw new BadCheckpointException(
                    checkpoint.fileOf(name),
                    "tensor " + name + ": config.json has only " + checkpoint.config().layers()
                            + " layers; config and weights are of different models, get both again");
        }
        if (name.startsWith("model.") && name.endsWith(".bias")) {
            throw new BadCheckpointException(
                    checkpoint.fileOf(name), "tensor " + name + ": Llama models with biases are not supported");
        }
    }
}
