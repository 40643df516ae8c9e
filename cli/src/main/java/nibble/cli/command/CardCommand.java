package nibble.cli.command;

import java.nio.file.Path;
import java.util.concurrent.Callable;
import nibble.cli.option.CardOptions;
import nibble.cli.option.ModelFolder;
import nibble.cli.option.OutputFile;
import nibble.cli.option.UsageException;
import nibble.cli.terminal.ExitCode;
import nibble.cli.terminal.Terminal;
import nibble.hub.card.CardRequest;
import nibble.hub.card.ModelCard;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
        name = "card",
        description =
                "Writes a checkpoint's model card, README.md, from its files and its measurements. Figures come only"
                        + " from --eval files.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class CardCommand implements Callable<Integer> {
    private final Terminal terminal;

    @Parameters(paramLabel = "DIR", description = "Folder of a checkpoint or of GGUF files that Nibble wrote.")
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    @Option(
            names = "--repo",
            paramLabel = "ORG/NAME",
            required = true,
            description = "The repository that the checkpoint will be published to.")
    private String repo = "";

    @Option(
            names = "--branch",
            paramLabel = "BRANCH",
            defaultValue = "main",
            description = "The repository's branch. Default: ${DEFAULT-VALUE}.")
    private String branch = "main";

    @Option(names = "--force", description = "Replace an existing README.md.")
    private boolean force;

    @Option(names = "--print", description = "Print the card instead of writing it.")
    private boolean print;

    @Mixin
    private CardOptions card = new CardOptions();

    CardCommand(Terminal terminal) {
        this.terminal = terminal;
    }

    @Override
    public Integer call() {
        ModelFolder.require(folder);
        card.requireInputs();
        CardRequest request = card.request(folder, repo, branch);
        if (print) {
            terminal.out().print(ModelCard.render(request));
            terminal.out().flush();
            return ExitCode.DONE;
        }
        if (!force && ModelCard.in(folder).isPresent()) {
            throw new UsageException(folder.resolve(ModelCard.FILE_NAME) + " exists; --force replaces it");
        }
        write(request);
        terminal.note("written: " + folder.resolve(ModelCard.FILE_NAME));
        return ExitCode.DONE;
    }

    /** Renders a card into the checkpoint's folder, whole or not at all. */
    static void write(CardRequest request) {
        String text = ModelCard.render(request);
        OutputFile.write("", request.folder().resolve(ModelCard.FILE_NAME), text);
    }
}
