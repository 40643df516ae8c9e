package nibble.checkpoint.model;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import nibble.checkpoint.model.layer.HeadNorm;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.ConfigKeys;

/** Finds the {@link Architecture} of a model among those that are supported. */
public final class Architectures {
    private static final List<Architecture> ALL = Stream.of(
                    LlamaFamily.ALL,
                    QwenFamily.ALL,
                    PhiFamily.ALL,
                    GemmaFamily.ALL,
                    GraniteFamily.ALL,
                    OlmoFamily.ALL,
                    MixtureFamily.ALL,
                    DeepseekFamily.ALL,
                    GptOssFamily.ALL,
                    Llama4Family.ALL,
                    CohereFamily.ALL)
            .flatMap(List::stream)
            .toList();

    /** Why some well-known architectures are none of these. */
    private static final Map<String, String> REASONS = Map.ofEntries(
            Map.entry("DeepseekForCausalLM", "mixture of experts"),
            Map.entry("PhiForCausalLM", "LayerNorm, biases of all linears"),
            Map.entry("Phi4MMForCausalLM", "several modalities"),
            Map.entry("FalconForCausalLM", "LayerNorm, attention and MLP side by side"),
            Map.entry("GPTNeoXForCausalLM", "LayerNorm, attention and MLP side by side"));

    private Architectures() {}

    /** Returns all that are supported. */
    public static List<Architecture> all() {
        return ALL;
    }

    /**
     * The architecture that a config names.
     *
     * @throws BadCheckpointException if it names none, or one that is not supported
     */
    static Architecture of(ConfigKeys keys) {
        List<String> names = classNames(keys);
        Optional<String> type = keys.text("model_type");
        if (names.isEmpty() && type.isEmpty()) {
            throw keys.missing("architectures");
        }
        for (Architecture architecture : ALL) {
            if ((names.isEmpty() || names.stream().anyMatch(architecture::isNamed))
                    && architecture.isType(type.orElse(architecture.modelType()))
                    && architecture.fits(keys)) {
                return architecture;
            }
        }
        Optional<String> name = names.stream().findFirst();
        String what = name.map(n -> "architecture \"" + n + "\"").orElse("");
        String reason = name.map(REASONS::get).map(r -> " (" + r + ")").orElse("");
        String known =
                name.filter(n -> ALL.stream().noneMatch(a -> a.isNamed(n))).isPresent()
                        ? reason
                        : type.map(t -> (name.isPresent() ? " with " : "") + "model_type \"" + t + "\"")
                                .orElse("");
        throw new BadCheckpointException(
                keys.file(),
                what + known + " is not yet supported; supported: "
                        + ALL.stream().map(Architecture::className).distinct().collect(Collectors.joining(", ")));
    }

    /**
     * Returns the architecture that a GGUF file of this name holds: of several, the one with the fewest differences, or
     * where the file states a window the first one whose layers differ by one.
     *
     * @param ggufName {@code general.architecture}
     * @param corrected whether the file says that experts are chosen by sigmoids
     * @param centered whether it has gains for each head of queries
     */
    public static Optional<Architecture> ofGguf(
            String ggufName, boolean window, boolean experts, boolean corrected, boolean centered) {
        List<Architecture> named = ALL.stream()
                .filter(architecture -> architecture.ggufName().equals(ggufName)
                        && architecture.mixesExperts() == experts
                        && architecture.correctsChoice() == corrected
                        && (architecture.headNorm() == HeadNorm.CENTERED) == centered)
                .toList();
        return named.stream()
                .filter(architecture -> window && architecture.gguf().windowEvery() > 0)
                .findFirst()
                .or(() -> named.stream().findFirst());
    }

    /**
     * Loaders go by {@code model_type} where the list is absent or empty, and by the name they know where it has
     * several.
     */
    private static List<String> classNames(ConfigKeys keys) {
        Optional<JsonNode> architectures = keys.value("architectures");
        if (architectures.isEmpty()) {
            return List.of();
        }
        List<String> names = new ArrayList<>();
        for (JsonNode name : architectures.get()) {
            if (!name.isTextual()) {
                throw keys.wrong("architectures", architectures.get(), "a list of names, [\"LlamaForCausalLM\"]");
            }
            names.add(name.textValue());
        }
        if (!architectures.get().isArray()) {
            throw keys.wrong("architectures", architectures.get(), "a list of names, [\"LlamaForCausalLM\"]");
        }
        return names;
    }
}
