package nibble.cli.option;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.chat.ChatTemplates;
import nibble.checkpoint.vocabulary.TokenizerDescription;
import nibble.datasets.chat.ChatTemplate;
import nibble.datasets.chat.SpecialTokens;
import org.jspecify.annotations.Nullable;

/** Returns what a MODEL argument says of conversations: its own templates and its special tokens. */
public final class ModelChat {
    /** The name on the command line for the checkpoint's own template. */
    static final String OWN = "model";

    private ModelChat() {}

    /** The checkpoint's own templates, a GGUF file's too; none if it has none. */
    static ChatTemplates templates(Path model) {
        return ChatTemplates.of(
                model,
                Checkpoint.tokenizer(model).map(TokenizerDescription::madeFiles).orElseGet(LinkedHashMap::new));
    }

    /**
     * Returns a format by its name: {@value #OWN} or null for the checkpoint's own, as transformers chooses among
     * several; a name of one of the checkpoint's own; a built-in one.
     *
     * @throws UsageException if there is none
     */
    public static ChatTemplate format(Path model, @Nullable String name, boolean withTools) {
        ChatTemplates own = templates(model);
        String asked = name == null || name.equals(OWN) ? null : name;
        Optional<String> chosen = own.choose(asked, withTools);
        if (chosen.isPresent()) {
            String source = own.sources().getOrDefault(chosen.get(), "");
            return ChatTemplate.of(chosen.get().equals(ChatTemplates.DEFAULT) ? OWN : chosen.get(), source);
        }
        if (asked != null && ChatTemplate.names().contains(asked)) {
            return ChatTemplate.named(asked);
        }
        List<String> others = new ArrayList<>(own.sources().keySet());
        others.addAll(ChatTemplate.names());
        throw new UsageException(
                asked != null
                        ? "no prompt template \"" + asked + "\"; there are " + String.join(", ", others)
                                + " and model, the checkpoint's own"
                        : model + ": has no "
                                + (own.isEmpty() ? "chat_template of its own" : "chat template called \"default\"")
                                + "; give --template one of " + String.join(", ", others));
    }

    /**
     * Returns the format of a server's conversations: a file's, if the name is that of a file; {@link #format} by any
     * other name; without a name the checkpoint's own, if it has one.
     */
    public static Optional<ChatTemplate> served(Path model, @Nullable String nameOrFile) {
        if (nameOrFile == null) {
            return templates(model).choose(null, false).isPresent()
                    ? Optional.of(format(model, null, false))
                    : Optional.empty();
        }
        boolean named = nameOrFile.equals(OWN)
                || ChatTemplate.names().contains(nameOrFile)
                || templates(model).sources().containsKey(nameOrFile);
        return Optional.of(
                named || !nameOrFile.matches(".*[/.].*")
                        ? format(model, nameOrFile, false)
                        : ChatTemplate.of(nameOrFile, ConversationJson.text(Path.of(nameOrFile))));
    }

    /** Returns the texts that templates name; none where there is no tokenizer that is read. */
    public static SpecialTokens tokens(Path model) {
        return Checkpoint.tokenizer(model)
                .map(ModelChat::tokens)
                .orElseGet(() -> new SpecialTokens(new LinkedHashMap<>()));
    }

    public static SpecialTokens tokens(TokenizerDescription described) {
        return new SpecialTokens(described.names());
    }
}
