package nibble.checkpoint;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.Finding;
import nibble.checkpoint.source.StrictJson;
import nibble.checkpoint.source.TextConfig;
import nibble.checkpoint.tensor.StoredTensor;

/**
 * Names of tensors as programs leave them that save a model inside a wrapper, or the decoder without its head: brought
 * to
 * {@code model.…} and {@code lm_head.…}, by which the rest of the project knows them.
 *
 * <pre>
 * layers.0.…                      the decoder alone, as transformers' LlamaModel saves it
 * module.model.layers.0.…         distributed data parallel, DeepSpeed
 * _orig_mod.model.layers.0.…      torch.compile; also inside a name
 * base_model.model.model.layers.0.…  PEFT, after merging
 * model.language_model.layers.0.…    the decoder of a model that sees
 * </pre>
 */
final class WrappedNames {
    /** Modules that pass everything on to another; they may stand anywhere in a name. */
    private static final Pattern TRANSPARENT =
            Pattern.compile("\\b(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\\.");

    /** Modules that may hold the decoder, each inside the one before. */
    private static final Pattern KNOWN_STEM =
            Pattern.compile("((module|base_model|model|language_model|text_model|llm)\\.)*");

    /** Every layer of every architecture has it, quantized or not. */
    private static final Pattern ANCHOR = Pattern.compile("(.*?)layers\\.\\d{1,9}\\.input_layernorm\\.weight");

    /** With these transformers 5 finds the tensors too. */
    private static final Set<String> TAKEN = Set.of("", "model.", "model.model.");

    /** What PEFT adds to a model, or hides the model's own weights behind. */
    private static final Pattern ADAPTER = Pattern.compile(
            ".*\\b(lora_[AB]|lora_embedding_[AB]|lora_magnitude_vector|base_layer|modules_to_save|ia3_l)\\b.*");

    /** Tensors of a decoder of text. */
    private static final Pattern DECODER = Pattern.compile("(model\\.(embed_tokens|layers|norm)|lm_head)\\..*");

    private WrappedNames() {}

    /**
     * The tensors of a model's decoder of text under their names without wrappers; of a model that takes text alone
     * all.
     *
     * @param folder whose config.json tells whether the model has other parts
     * @param notes told of parts that are left out, or of wrappers that other loaders do not take
     */
    static SequencedMap<String, StoredTensor> ofText(
            ModelConfig config, Path folder, SequencedMap<String, StoredTensor> tensors, Consumer<Finding> notes) {
        Optional<String> larger = TextConfig.className(StrictJson.readObject(folder.resolve("config.json")));
        if (larger.isEmpty()) {
            return unwrap(folder, tensors, notes);
        }
        notes.accept(Finding.warning(
                "modalities",
                folder + ": " + larger.get() + " takes more than text; only its decoder of text is read, and an output"
                        + " holds that alone, as a " + config.architecture().className()));
        // Names of the parts of such a model are no mistake.
        SequencedMap<String, StoredTensor> text = new LinkedHashMap<>(unwrap(folder, tensors, _ -> {}));
        text.keySet().removeIf(name -> !DECODER.matcher(name).matches());
        return text;
    }

    /**
     * The tensors under their names without wrappers, in the same order.
     *
     * @param notes told of wrappers that other loaders do not take
     * @throws BadCheckpointException if two tensors come to one name, or they are those of an adapter
     */
    static SequencedMap<String, StoredTensor> unwrap(
            Path folder, SequencedMap<String, StoredTensor> tensors, Consumer<Finding> notes) {
        Set<String> stems = new TreeSet<>();
        for (String name : tensors.keySet()) {
            if (ADAPTER.matcher(name).matches()) {
                throw new BadCheckpointException(
                        tensors.get(name).file(),
                        "tensor " + name
                                + " is part of an adapter (LoRA) that is not merged into its model; merge it first:"
                                + " merge_and_unload() and save_pretrained() in PEFT");
            }
            Matcher anchor = ANCHOR.matcher(plain(name));
            if (anchor.matches() && KNOWN_STEM.matcher(anchor.group(1)).matches()) {
                stems.add(anchor.group(1));
            }
        }
        // None or several: whatever is missing will be named.
        String stem = stems.size() == 1 ? stems.iterator().next() : "model.";
        if (stem.equals("model.")
                && tensors.keySet().stream().allMatch(name -> plain(name).equals(name))) {
            return tensors;
        }
        String outer = stem.equals("model.") || stem.endsWith(".model.") ? stem.substring(0, stem.length() - 6) : stem;
        SequencedMap<String, StoredTensor> unwrapped = new LinkedHashMap<>();
        tensors.forEach((name, tensor) -> {
            String made = unwrapped(plain(name), stem, outer);
            if (unwrapped.put(made, made.equals(name) ? tensor : tensor.named(made)) != null) {
                throw new BadCheckpointException(
                        tensor.file(),
                        "tensor " + name + ": another tensor is " + made
                                + " too, without the wrapper of the model's names" + " ("
                                + (stem.isEmpty() ? "none" : stem) + "); save the model alone");
            }
        });
        String wrapped = tensors.firstEntry().getKey();
        boolean taken = TAKEN.contains(stem)
                && tensors.keySet().stream().allMatch(name -> plain(name).equals(name));
        if (!taken) {
            notes.accept(Finding.error(
                    "names",
                    folder + ": tensor names have a wrapper (" + wrapped
                            + "), which other loaders do not look behind; read as "
                            + unwrapped.firstEntry().getKey() + " and so on, and written so"));
        }
        return unwrapped;
    }

    private static String plain(String name) {
        return TRANSPARENT.matcher(name).replaceAll("");
    }

    private static String unwrapped(String name, String stem, String outer) {
        if (name.startsWith(stem)) {
            String rest = name.substring(stem.length());
            return rest.startsWith("lm_head.") ? rest : "model." + rest;
        }
        return name.startsWith(outer) ? name.substring(outer.length()) : name;
    }

    /**
     * Why a tensor may be missing, where another one's name ends as its does.
     *
     * @param names of all tensors
     * @param missing as {@code model.layers.0.mlp.up_proj.weight}
     * @return to be put behind a message; empty where there is nothing to say
     */
    static String likely(List<String> names, String missing) {
        String end = missing.startsWith("model.") ? missing.substring("model".length()) : "." + missing;
        return names.stream()
                .filter(name -> name.endsWith(end))
                .findFirst()
                .map(name -> "; the checkpoint has " + name + ", behind the unknown wrapper \""
                        + name.substring(0, name.length() - end.length() + 1) + "\": save the model alone")
                .orElse("");
    }
}
