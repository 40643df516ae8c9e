package nibble.cli.evaluation;

import java.nio.file.Path;
import java.util.Optional;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.vocabulary.TokenizerDescription;
import nibble.cli.option.ModelChat;
import nibble.cli.option.UsageException;
import nibble.datasets.Tokenizer;
import nibble.datasets.chat.StopIds;
import nibble.engine.LanguageModel;
import nibble.eval.harness.HarnessOptions;
import nibble.eval.tasks.EvaluatedModel;

/**
 * Holds the files of a model that tasks ask, wherever the model itself runs.
 *
 * @param name as results name it
 */
public record AskedModel(
        String name, Path folder, Checkpoint checkpoint, TokenizerDescription described, Tokenizer tokenizer) {
    /**
     * Returns the model as tasks have it. As lm-evaluation-harness has it, the tokenizer says what begins and ends a
     * text, whether it puts it there or not.
     *
     * @param device as it describes itself
     * @param leads whether a BOS id was asked for
     * @throws UsageException if the tokenizer puts none in front of a text
     */
    public EvaluatedModel evaluated(LanguageModel model, String device, HarnessOptions.Chat chat, boolean leads) {
        ModelConfig config = checkpoint.config();
        int[] leading = tokenizer.encode("", true);
        if (leads && leading.length == 0) {
            throw new UsageException("--bos: the tokenizer of " + name + " puts no BOS in front of a text");
        }
        int first = leading.length > 0 ? leading[0] : -1;
        int ofConfig = config.eosIds().stream().findFirst().orElse(Math.max(first, 0));
        int eos = inModel(model, described.id("eos_token"), ofConfig);
        int bos = inModel(model, described.id("bos_token"), first >= 0 ? first : eos);
        return new EvaluatedModel(
                name,
                device,
                model,
                tokenizer,
                bos,
                eos,
                StopIds.of(checkpoint, described),
                text(bos),
                text(eos),
                chat(chat));
    }

    private Optional<EvaluatedModel.Chat> chat(HarnessOptions.Chat asked) {
        return asked.applied()
                ? Optional.of(new EvaluatedModel.Chat(
                        ModelChat.format(folder, asked.template(), false), ModelChat.tokens(described)))
                : Optional.empty();
    }

    private String text(int id) {
        return described.texts().getOrDefault(id, "");
    }

    private static int inModel(LanguageModel model, int id, int otherwise) {
        return id >= 0 && id < model.vocabularySize() ? id : otherwise;
    }
}
