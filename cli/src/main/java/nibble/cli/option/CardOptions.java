package nibble.cli.option;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;
import nibble.checkpoint.GgufLocation;
import nibble.datasets.chat.ChatMessage;
import nibble.hub.card.CardRequest;
import nibble.hub.client.RepoName;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Holds the options for what the model card says beside what the checkpoint itself tells. */
public final class CardOptions {
    private static final Pattern LICENSE = Pattern.compile("[a-z0-9][a-z0-9.+-]*");

    @Option(
            names = "--base-model",
            paramLabel = "ORG/NAME",
            description = "The model that was quantized, by its name on the hub. Default: the one in the report.")
    private @Nullable String baseModel;

    @Option(
            names = "--license",
            paramLabel = "NAME",
            description = "The license's name on the hub, such as apache-2.0. Default: the original card's.")
    private @Nullable String license;

    @Option(
            names = "--license-name",
            paramLabel = "NAME",
            description = "Name of a license that the hub does not know; with --license other.")
    private @Nullable String licenseName;

    @Option(
            names = "--license-link",
            paramLabel = "LINK",
            description = "The license text: an address, or a file of the repository.")
    private @Nullable String licenseLink;

    @Option(
            names = "--eval",
            paramLabel = "FILE",
            arity = "1..*",
            description = "JSON of 'nibble eval' on this checkpoint, for the card's figures.")
    private List<Path> evaluations = List.of();

    @Option(
            names = "--baseline-eval",
            paramLabel = "FILE",
            arity = "1..*",
            description = "JSON of 'nibble eval' on the original model.")
    private List<Path> baselineEvaluations = List.of();

    @Option(
            names = "--original-card",
            paramLabel = "FILE",
            description = "README.md of the original model, appended to the card.")
    private @Nullable Path originalCard;

    @Option(
            names = "--card-template",
            paramLabel = "FILE",
            description = "A Jinja template instead of the built-in one.")
    private @Nullable Path template;

    @Option(
            names = "--prompt-template",
            paramLabel = "NAME",
            description =
                    "Prompt format that the card shows: orca-hashes, llama-2-chat, chatml, alpaca, vicuna. Default: the"
                            + " checkpoint's own chat_template, if it has one.")
    private @Nullable String promptTemplate;

    /**
     * Checks that the files to read are there.
     *
     * @throws InputException if a file to read is not there
     */
    public void requireInputs() {
        InputFile.require("--eval", evaluations);
        InputFile.require("--baseline-eval", baselineEvaluations);
        InputFile.require("--original-card", originalCard);
        InputFile.require("--card-template", template);
    }

    public CardRequest request(Path folder, String repo, String branch) {
        for (String name : baseModel == null ? List.of(repo) : List.of(repo, baseModel)) {
            if (!RepoName.isName(name)) {
                throw new UsageException("\"" + name + "\" is not a repository name; write ORG/NAME");
            }
        }
        if (license != null && !LICENSE.matcher(license).matches()) {
            throw new UsageException(
                    "--license " + license + " is no name of the hub's, which are as apache-2.0; for a license"
                            + " without one give --license other --license-name NAME --license-link LINK");
        }
        if ((licenseName != null || licenseLink != null) && !"other".equals(license)) {
            throw new UsageException("--license-name and --license-link belong to --license other");
        }
        if ("other".equals(license) && (licenseName == null || licenseLink == null)) {
            throw new UsageException(
                    "--license other needs --license-name and --license-link, which the hub shows in its place");
        }
        return new CardRequest(
                folder,
                repo,
                branch,
                Optional.ofNullable(baseModel),
                Optional.ofNullable(license),
                Optional.ofNullable(licenseName),
                Optional.ofNullable(licenseLink),
                prompt(folder),
                evaluations,
                baselineEvaluations,
                Optional.ofNullable(originalCard),
                Optional.ofNullable(template));
    }

    /** One turn in the model's format; the tokenizer adds the token that begins a text. */
    private Optional<String> prompt(Path folder) {
        Path model = GgufLocation.first(folder).orElse(folder);
        if (promptTemplate == null
                && ModelChat.templates(model).choose(null, false).isEmpty()) {
            return Optional.empty();
        }
        return Optional.of(ModelChat.format(model, promptTemplate, false)
                .render(
                        List.of(ChatMessage.user("{prompt}")),
                        ModelChat.tokens(model).withoutBos())
                .stripTrailing());
    }
}
