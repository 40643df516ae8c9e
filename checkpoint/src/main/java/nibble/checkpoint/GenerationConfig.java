package nibble.checkpoint;

import java.nio.file.Path;
import java.util.List;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.ConfigKeys;
import nibble.checkpoint.source.SourceFile;
import nibble.checkpoint.source.StrictJson;

/**
 * Holds what a model's makers recommend for generation, in generation_config.json.
 *
 * @param eosIds ids that end a text or a turn; chat models have more of them here than in config.json
 */
public record GenerationConfig(List<Integer> eosIds) {
    public GenerationConfig {
        eosIds = List.copyOf(eosIds);
    }

    /**
     * Reads the generation_config.json of a folder.
     *
     * @throws BadCheckpointException if the file is there and malformed
     */
    public static GenerationConfig of(Path folder) {
        Path file = folder.resolve("generation_config.json");
        if (!SourceFile.isNamed(file)) {
            return new GenerationConfig(List.of());
        }
        ConfigKeys keys = new ConfigKeys(file, StrictJson.readObject(file), "");
        return new GenerationConfig(keys.integers("eos_token_id", 0, Integer.MAX_VALUE));
    }
}
