package nibble.checkpoint;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import nibble.checkpoint.gguf.GgufNames;
import nibble.checkpoint.model.LinearModule;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.TensorNames;
import nibble.checkpoint.model.quantization.LinearTensor;
import nibble.checkpoint.model.quantization.LinearTensor.Presence;
import nibble.checkpoint.model.quantization.QuantizationConfig;
import nibble.checkpoint.model.quantization.QuantizedFormat;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.StoredTensor;
import nibble.checkpoint.tensor.TensorSpec;
import nibble.checkpoint.tensor.TensorView;

/** What a checkpoint must hold by its config: names, shapes and types. */
final class ExpectedTensors {
    private static final String CONFIG = "config.json";
    private static final String GET_BOTH = "; config and weights are of different models, get both again";

    private static final Pattern LAYER = Pattern.compile("model\\.layers\\.(\\d{1,9})\\..*");

    private ExpectedTensors() {}

    static void check(Checkpoint checkpoint, Path configJson) {
        ModelConfig config = checkpoint.config();
        Map<String, Runnable> quantized = new HashMap<>();
        config.quantization().ifPresent(quantization -> {
            for (int layer = 0; layer < config.layers(); layer++) {
                int of = layer;
                for (LinearModule module : config.modules(layer)) {
                    quantized.put(
                            config.spec(module, layer).name(),
                            () -> requireQuantized(checkpoint, module, of, quantization, configJson));
                }
            }
        });
        Set<String> expected = new HashSet<>();
        for (TensorSpec spec : config.tensors()) {
            expected.add(spec.name());
            quantized
                    .getOrDefault(spec.name(), () -> requireFloat(checkpoint, spec.name(), spec.shape()))
                    .run();
        }
        for (String name : checkpoint.names()) {
            refuseIfItWouldMatter(checkpoint, name, expected);
        }
    }

    private static void requireQuantized(
            Checkpoint checkpoint, LinearModule stored, int layer, QuantizationConfig quantization, Path configJson) {
        int in = checkpoint.config().inFeatures(stored);
        int out = checkpoint.config().outFeatures(stored);
        int group = quantization.columnsPerGroup(in);
        String module = stored.name(layer);
        QuantizedFormat format = quantization.format();
        if (in % group != 0 || out % 8 != 0 || format.packsInputs() && in % 8 != 0) {
            throw new BadCheckpointException(
                    configJson,
                    module + ": " + in + " input and " + out + " output features, " + format.method()
                            + " needs multiples of 8 and inputs a multiple of the group size " + group
                            + "; take the model's original config.json");
        }
        for (LinearTensor tensor :
                format.linear(module, out, in, in / group, quantization.bits(), quantization.symmetric())) {
            TensorSpec spec = tensor.spec();
            if (tensor.presence() != Presence.REQUIRED
                    && checkpoint.stored(spec.name()).isEmpty()) {
                continue;
            }
            switch (tensor.type()) {
                case ANY_FLOAT -> requireFloat(checkpoint, spec.name(), spec.shape());
                case EXACT -> require(checkpoint, spec, format);
            }
        }
    }

    /** The config's dtype is what loaders convert to; files of another float type are common and fine. */
    private static void requireFloat(Checkpoint checkpoint, String name, Shape shape) {
        TensorSpec found = requireShape(checkpoint, name, shape);
        if (!found.dtype().isWeight()) {
            throw new BadCheckpointException(
                    checkpoint.fileOf(name),
                    "tensor " + named(checkpoint, name) + ": found type " + found.dtype()
                            + ", expected F16, BF16 or F32; use the model's fp16 version");
        }
    }

    private static void require(Checkpoint checkpoint, TensorSpec spec, QuantizedFormat format) {
        TensorSpec found = requireShape(checkpoint, spec.name(), spec.shape());
        if (found.dtype() != spec.dtype()) {
            throw new BadCheckpointException(
                    checkpoint.fileOf(spec.name()),
                    "tensor " + spec.name() + ": found type " + found.dtype() + ", a checkpoint in the layout "
                            + format.method() + " (" + format.version() + ") has " + spec.dtype()
                            + " here; get one that agrees with its config");
        }
    }

    private static TensorSpec requireShape(Checkpoint checkpoint, String name, Shape shape) {
        Optional<TensorSpec> found = checkpoint.stored(name).map(StoredTensor::spec);
        if (found.isEmpty()) {
            throw new BadCheckpointException(checkpoint.folder(), missing(checkpoint, name, shape));
        }
        if (!found.get().shape().equals(shape)) {
            throw new BadCheckpointException(
                    checkpoint.fileOf(name),
                    "tensor " + named(checkpoint, name) + ": found shape "
                            + found.get().shape() + ", " + description(checkpoint) + " asks for " + shape
                            + again(checkpoint));
        }
        return found.get();
    }

    private static String missing(Checkpoint checkpoint, String name, Shape shape) {
        if (name.equals(TensorNames.HEAD)) {
            return "tensor " + name + " " + shape
                    + " is missing and tie_word_embeddings is false: this is a model without its output projection, as"
                    + " a decoder saved alone or a classifier is. Get the whole checkpoint; where the embedding is the"
                    + " output projection, set tie_word_embeddings to true in config.json";
        }
        String likely = WrappedNames.likely(checkpoint.names(), name);
        return "tensor " + named(checkpoint, name) + " " + shape + " is missing although "
                + description(checkpoint) + " asks for it"
                + (isGguf(checkpoint)
                        ? again(checkpoint)
                        : likely.isEmpty() ? "; get the whole checkpoint again" : likely);
    }

    /** Tensors nobody asked for are harmless, except those that say the config is not this model's. */
    private static void refuseIfItWouldMatter(Checkpoint checkpoint, String name, Set<String> expected) {
        Matcher layer = LAYER.matcher(name);
        if (layer.matches()
                && Integer.parseInt(layer.group(1)) >= checkpoint.config().layers()) {
            if (isFurther(checkpoint.config(), Integer.parseInt(layer.group(1)))) {
                return;
            }
            throw new BadCheckpointException(
                    checkpoint.fileOf(name),
                    "tensor " + named(checkpoint, name) + ": " + description(checkpoint) + " has only "
                            + checkpoint.config().layers() + " layers" + again(checkpoint));
        }
        if (!name.startsWith("model.") || expected.contains(name)) {
            return;
        }
        String architecture = checkpoint.config().architecture().className();
        // AutoGPTQ writes a bias of zeros beside every linear.
        if (name.endsWith(".bias") && !isZero(checkpoint.tensor(name))) {
            throw new BadCheckpointException(
                    checkpoint.fileOf(name),
                    "tensor " + named(checkpoint, name) + ": " + architecture + " has no such bias, and "
                            + description(checkpoint) + " describes one" + again(checkpoint));
        }
        if (layer.matches() && name.endsWith("norm.weight")) {
            throw new BadCheckpointException(
                    checkpoint.fileOf(name),
                    "tensor " + named(checkpoint, name) + ": " + architecture + " has no such norm, and "
                            + description(checkpoint) + " describes one" + again(checkpoint));
        }
    }

    /** Whether a layer predicts further tokens, behind those of the decoder. */
    private static boolean isFurther(ModelConfig config, int layer) {
        return config.architecture()
                .furtherLayersKey()
                .filter(key -> layer - config.layers() < config.json().path(key).asInt(0))
                .isPresent();
    }

    /** A GGUF file is where a checkpoint of other formats is a folder. */
    private static boolean isGguf(Checkpoint checkpoint) {
        return Files.isRegularFile(checkpoint.folder());
    }

    /** The tensor as its file names it. */
    private static String named(Checkpoint checkpoint, String name) {
        return isGguf(checkpoint) ? GgufNames.of(checkpoint.config().architecture(), name) : name;
    }

    /** What says which tensors there are. */
    private static String description(Checkpoint checkpoint) {
        if (isGguf(checkpoint)) {
            return "the file's metadata";
        }
        return Files.exists(checkpoint.folder().resolve(CONFIG)) ? CONFIG : MetaFolder.PARAMS;
    }

    private static String again(Checkpoint checkpoint) {
        return isGguf(checkpoint) ? "; metadata and weights are of different models, get the file again" : GET_BOTH;
    }

    private static boolean isZero(TensorView tensor) {
        MemorySegment data = tensor.data();
        for (long i = 0; i < data.byteSize(); i++) {
            if (data.get(ValueLayout.JAVA_BYTE, i) != 0) {
                return false;
            }
        }
        return true;
    }
}
