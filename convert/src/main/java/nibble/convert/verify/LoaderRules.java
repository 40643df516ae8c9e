package nibble.convert.verify;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.LinearModule;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.TensorNames;
import nibble.checkpoint.model.quantization.LinearTensor;
import nibble.checkpoint.model.quantization.QuantizationConfig;
import nibble.checkpoint.model.quantization.QuantizedFormat;
import nibble.checkpoint.source.Finding;
import nibble.checkpoint.source.ForeignPattern;

/**
 * What a loader of a quantized checkpoint goes by and a reader of its tensors does not need: which linears it takes for
 * quantized, and settings that it refuses. Checked against compressed-tensors 0.20 in transformers 5.17 and GPTQModel
 * 7.3.
 */
final class LoaderRules {
    private static final String CHECK = "quantization-config";

    /** Keys of {@code weights} that compressed-tensors knows; any other is refused. */
    private static final Set<String> WEIGHT_KEYS = Set.of(
            "num_bits",
            "type",
            "symmetric",
            "group_size",
            "strategy",
            "block_structure",
            "dynamic",
            "actorder",
            "scale_dtype",
            "zp_dtype",
            "observer",
            "observer_kwargs");

    /** How each of GPTQ's rules begins; {@link QuantizationConfig} refuses others. */
    private static final String LEFT_DENSE = "-:";

    /** Characters that matching a name may look at. */
    private static final long MOST_LOOKS = 100_000;

    private final Checkpoint checkpoint;
    private final ModelConfig config;
    private final Path file;
    private final Consumer<Finding> findings;

    private LoaderRules(Checkpoint checkpoint, Consumer<Finding> findings) {
        this.checkpoint = checkpoint;
        this.config = checkpoint.config();
        this.file = checkpoint.folder().resolve("config.json");
        this.findings = findings;
    }

    static void run(Checkpoint checkpoint, Consumer<Finding> findings) {
        JsonNode settings = checkpoint.config().json().path("quantization_config");
        if (checkpoint.config().quantization().isEmpty() || !(settings instanceof ObjectNode object)) {
            return;
        }
        LoaderRules rules = new LoaderRules(checkpoint, findings);
        QuantizationConfig quantization = checkpoint.config().quantization().get();
        rules.config
                .architecture()
                .quantizedNote(quantization.format(), quantization.symmetric())
                .ifPresent(note -> findings.accept(Finding.warning("loaders", rules.file + ": " + note)));
        switch (quantization.format()) {
            case AWQ_GEMM -> rules.awq(object);
            case GPTQ, GPTQ_V2 -> rules.gptq(object, quantization);
            case COMPRESSED_TENSORS -> rules.compressedTensors(object, quantization);
        }
    }

    private void error(String message) {
        findings.accept(Finding.error(CHECK, file + ": " + message));
    }

    /** Names of the linears that the file holds packed. */
    private List<String> packed() {
        List<String> names = new ArrayList<>();
        for (int layer = 0; layer < config.layers(); layer++) {
            for (LinearModule module : config.modules(layer)) {
                names.add(module.name(layer));
            }
        }
        return names;
    }

    private void awq(ObjectNode settings) {
        List<String> packed = packed();
        for (JsonNode skipped : settings.path("modules_to_not_convert")) {
            packed.stream()
                    .filter(name -> name.contains(skipped.asText()))
                    .findFirst()
                    .ifPresent(
                            name -> error("quantization_config.modules_to_not_convert has " + skipped + ", yet " + name
                                    + " is quantized; loaders would look for its weight and not find it:"
                                    + " remove the entry"));
        }
    }

    private void gptq(ObjectNode settings, QuantizationConfig quantization) {
        List<String> listed = new ArrayList<>();
        settings.path("modules_in_block_to_quantize")
                .forEach(block -> block.forEach(name -> listed.add(name.asText())));
        if (!listed.isEmpty()) {
            IntStream.range(0, config.layers())
                    .boxed()
                    .flatMap(layer -> config.modules(layer).stream())
                    .map(LinearModule::path)
                    .filter(path -> !listed.contains(path))
                    .findFirst()
                    .ifPresent(path -> error("quantization_config.modules_in_block_to_quantize lacks " + path
                            + ", which is quantized; loaders would look for its weight and not find it: add it"));
        }
        List<String> packed = packed();
        settings.path("dynamic")
                .fieldNames()
                .forEachRemaining(rule -> packed.stream()
                        .filter(name -> matches("re:" + rule.substring(LEFT_DENSE.length()), name))
                        .findFirst()
                        .ifPresent(name -> error("quantization_config.dynamic has the rule " + rule + ", yet " + name
                                + " is quantized; loaders would look for its weight and not"
                                + " find it: remove the rule")));
        if (quantization.symmetric()) {
            return;
        }
        if (quantization.format() == QuantizedFormat.GPTQ
                && !byGptqModel(settings.path("meta").path("quantizer"))) {
            error("GPTQ's first version (checkpoint_format \"gptq\") with sym false and no meta.quantizer of"
                    + " GPTQModel, which GPTQModel rejects; convert to gptq, the second version, or to"
                    + " compressed-tensors");
        } else {
            quantization
                    .format()
                    .loaderNote(false, config.experts().isPresent())
                    .ifPresent(note -> findings.accept(Finding.warning("loaders", file + ": " + note)));
        }
    }

    /** Whether one of the tools named, as {@code gptqmodel:1.2.0}, is GPTQModel. */
    private static boolean byGptqModel(JsonNode quantizer) {
        for (JsonNode tool : quantizer.isArray() ? quantizer : List.of(quantizer)) {
            if (tool.asText("").toLowerCase(Locale.ROOT).startsWith("gptqmodel:")) {
                return true;
            }
        }
        return false;
    }

    private void compressedTensors(ObjectNode settings, QuantizationConfig quantization) {
        String status = settings.path("quantization_status").asText("missing");
        if (!status.equals("compressed")) {
            error("quantization_config.quantization_status is " + status
                    + ", loaders take the weights for dense unless it is" + " \"compressed\"; write that");
        }
        JsonNode group = settings.path("config_groups").path(0);
        for (JsonNode only : settings.path("config_groups")) {
            group = only;
        }
        group.path("weights").fieldNames().forEachRemaining(key -> {
            if (!WEIGHT_KEYS.contains(key)) {
                error("quantization_config has the key " + key
                        + " below weights, which compressed-tensors rejects; remove it");
            }
        });
        if (quantization.ordersColumns()) {
            findings.accept(Finding.warning(
                    "loaders",
                    file + ": actorder " + group.path("weights").path("actorder") + " is rejected by compressed-tensors"
                            + " since 0.20; vLLM of before that loads it"));
        }
        List<String> targets = texts(group.path("targets"));
        List<String> ignored = texts(settings.path("ignore"));
        for (String name : packed()) {
            boolean target = targets.contains("Linear") || targets.stream().anyMatch(pattern -> matches(pattern, name));
            if (!target || ignored.contains("Linear") || ignored.stream().anyMatch(pattern -> matches(pattern, name))) {
                error("quantization_config's " + (target ? "ignore covers " : "targets leave out ") + name
                        + ", which is quantized; loaders would give it random weights: correct the list");
                break;
            }
        }
        boolean head = targets.contains("Linear") || targets.stream().anyMatch(pattern -> matches(pattern, "lm_head"));
        boolean spared = ignored.stream().anyMatch(pattern -> matches(pattern, "lm_head"));
        if (head && !spared && checkpoint.stored(TensorNames.HEAD).isPresent()) {
            error("quantization_config.ignore lacks lm_head, which is not quantized, so loaders would look for its"
                    + " packed weight; add \"lm_head\"");
        }
        for (String name : packed()) {
            String shape = quantization.format().name(name, LinearTensor.Role.SHAPE);
            if (checkpoint.stored(shape).isEmpty()) {
                findings.accept(Finding.error(
                        "tensors",
                        checkpoint.folder() + ": tensor " + shape
                                + " is missing, which compressed-tensors needs to unpack"
                                + " the weight; get the whole checkpoint again"));
                break;
            }
        }
    }

    private static List<String> texts(JsonNode list) {
        List<String> texts = new ArrayList<>();
        list.forEach(text -> texts.add(text.asText()));
        return texts;
    }

    /** As compressed-tensors matches a name: whole, or by a pattern behind "re:" from the beginning on. */
    private static boolean matches(String pattern, String name) {
        if (!pattern.startsWith("re:")) {
            return pattern.equals(name);
        }
        try {
            return ForeignPattern.compile(pattern.substring(3), 0)
                    .filter(found -> found.matcher(name, new ForeignPattern.Looks(MOST_LOOKS))
                            .lookingAt())
                    .isPresent();
        } catch (ForeignPattern.EndlessException | StackOverflowError e) {
            return false;
        }
    }
}
