package nibble.eval;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonPropertyOrder;
import nibble.datasets.TextDataset;
import org.jspecify.annotations.Nullable;

/**
 * Holds a perplexity with all that is needed to measure it again. As JSON, fields are in snake_case and unknown ones
 * are left out.
 *
 * @param perplexity exp of the mean cross entropy in nats
 * @param recipe name of the definition: {@code gptq}
 * @param contextTokens ids in a window
 * @param windows windows measured
 * @param windowsInDataset windows the dataset has; more than {@code windows} if a limit was set
 * @param tokensScored predictions averaged: {@code windows * (contextTokens - 1)}
 * @param datasetTokens ids of the whole dataset, with BOS
 * @param dataset name of the text; null if only ids were given
 * @param datasetForm how the text was made, see {@link TextDataset}; null if only ids were given
 * @param datasetSha256 of the source's bytes; null if only ids were given
 * @param bos whether one BOS id leads the ids; null if only ids were given
 * @param wallSeconds time of the measurement, without loading and encoding
 */
@JsonInclude(JsonInclude.Include.NON_NULL)
@JsonPropertyOrder({
    "perplexity",
    "recipe",
    "context_tokens",
    "windows",
    "windows_in_dataset",
    "tokens_scored",
    "dataset",
    "dataset_form",
    "dataset_sha256",
    "dataset_tokens",
    "bos",
    "wall_seconds"
})
public record PerplexityResult(
        double perplexity,
        String recipe,
        @JsonProperty("context_tokens") int contextTokens,
        int windows,
        @JsonProperty("windows_in_dataset") int windowsInDataset,
        @JsonProperty("tokens_scored") long tokensScored,
        @JsonProperty("dataset_tokens") long datasetTokens,
        @Nullable String dataset,
        @JsonProperty("dataset_form") @Nullable String datasetForm,
        @JsonProperty("dataset_sha256") @Nullable String datasetSha256,
        @Nullable Boolean bos,
        @JsonProperty("wall_seconds") double wallSeconds) {

    /** Returns the same figure, with the text that its ids came from. */
    public PerplexityResult of(TextDataset text, boolean leadingBos) {
        return new PerplexityResult(
                perplexity,
                recipe,
                contextTokens,
                windows,
                windowsInDataset,
                tokensScored,
                datasetTokens,
                text.name(),
                text.form(),
                text.sha256(),
                leadingBos,
                wallSeconds);
    }
}
