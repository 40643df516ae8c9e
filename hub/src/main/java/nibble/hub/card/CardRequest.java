package nibble.hub.card;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * Describes what a card is to be made of, beside the checkpoint itself.
 *
 * @param folder the checkpoint
 * @param repo organization/name it will have
 * @param branch branch it will have
 * @param baseModel organization/name of the model it was made from; empty for what its report says
 * @param license the license's name on the hub; empty for what the original card says
 * @param licenseName of a license that is "other" on the hub
 * @param licenseLink its text
 * @param promptTemplate a prompt in the model's format, with {@code {prompt}} where it goes; empty if none is known
 * @param evaluations JSON files of {@code nibble eval} on this checkpoint
 * @param baselineEvaluations the same on the model it was made from
 * @param originalCard the original model's README.md
 * @param template Jinja source to use instead of the built-in one
 */
public record CardRequest(
        Path folder,
        String repo,
        String branch,
        Optional<String> baseModel,
        Optional<String> license,
        Optional<String> licenseName,
        Optional<String> licenseLink,
        Optional<String> promptTemplate,
        List<Path> evaluations,
        List<Path> baselineEvaluations,
        Optional<Path> originalCard,
        Optional<Path> template) {
    /** Returns a card of what the checkpoint itself says, without measurements. */
    public static CardRequest of(Path folder, String repo, String branch) {
        return new CardRequest(
                folder,
                repo,
                branch,
                Optional.empty(),
                Optional.empty(),
                Optional.empty(),
                Optional.empty(),
                Optional.empty(),
                List.of(),
                List.of(),
                Optional.empty(),
                Optional.empty());
    }

    public CardRequest {
        evaluations = List.copyOf(evaluations);
        baselineEvaluations = List.copyOf(baselineEvaluations);
    }
}
