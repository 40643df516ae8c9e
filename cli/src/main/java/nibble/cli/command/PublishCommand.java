package nibble.cli.command;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import nibble.cli.option.CardOptions;
import nibble.cli.option.HubOptions;
import nibble.cli.option.JsonOption;
import nibble.cli.option.ModelFolder;
import nibble.cli.option.OutputFile;
import nibble.cli.option.UsageException;
import nibble.cli.terminal.ExitCode;
import nibble.cli.terminal.Figures;
import nibble.cli.terminal.Table;
import nibble.cli.terminal.Terminal;
import nibble.cli.terminal.TransferProgress;
import nibble.convert.verify.CheckpointVerification;
import nibble.hub.PublishRequest;
import nibble.hub.PublishRequest.How;
import nibble.hub.PublishRequest.Leftovers;
import nibble.hub.PublishRequest.Visibility;
import nibble.hub.PublishResult;
import nibble.hub.PublishResult.PublishedFile;
import nibble.hub.Publisher;
import nibble.hub.card.ModelCard;
import nibble.hub.client.HubSettings;
import nibble.hub.client.RepoName;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
        name = "publish",
        description =
                "Verifies a checkpoint, writes its model card if it has none, and uploads it to a repository of the"
                        + " hub. You may stop it and run it again; it does not send a stored file twice.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class PublishCommand implements Callable<Integer> {
    private final Terminal terminal;

    @Parameters(paramLabel = "DIR", description = "Folder of a finished checkpoint.")
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    @Option(
            names = "--repo",
            paramLabel = "ORG/NAME",
            required = true,
            description = "The repository; created if it does not exist.")
    private String repo = "";

    @Option(
            names = "--branch",
            paramLabel = "BRANCH",
            defaultValue = PublishRequest.MAIN,
            description = "Branch to publish to, such as awq-32g for another group size; created if it does not exist."
                    + " Default: ${DEFAULT-VALUE}.")
    private String branch = PublishRequest.MAIN;

    @Option(names = "--private", description = "Make a new repository private. One that exists must be.")
    private boolean privately;

    @Option(names = "--pull-request", description = "Open a pull request instead of a commit on the branch.")
    private boolean pullRequest;

    @Option(
            names = "--dry-run",
            description =
                    "Verify, ask the hub which files are missing, and change nothing. Without a token or offline: list"
                            + " the files to send.")
    private boolean dryRun;

    @Option(
            names = "--delete-old-weights",
            description = "Delete weight files of the branch that DIR does not have. Default: list and keep them.")
    private boolean deleteOld;

    @Option(
            names = "--message",
            paramLabel = "TEXT",
            defaultValue = PublishRequest.MESSAGE,
            description = "Title of the commit. Default: ${DEFAULT-VALUE}.")
    private String message = "";

    @Option(
            names = "--transfers",
            paramLabel = "N",
            defaultValue = "" + PublishRequest.TRANSFERS,
            description = "Files and parts to send at the same time. Default: ${DEFAULT-VALUE}.")
    private int transfers = PublishRequest.TRANSFERS;

    @Mixin
    private CardOptions card = new CardOptions();

    @Mixin
    private HubOptions hub = new HubOptions();

    @Mixin
    private JsonOption json = new JsonOption();

    PublishCommand(Terminal terminal) {
        this.terminal = terminal;
    }

    @Override
    public Integer call() {
        ModelFolder.require(folder);
        card.requireInputs();
        if (dryRun && pullRequest) {
            throw new UsageException("--dry-run and --pull-request exclude each other");
        }
        json.requireWritable();
        HubSettings settings = hub.settings(terminal);
        PublishRequest request = request();
        try (TransferProgress progress = new TransferProgress(terminal)) {
            new Publisher(settings).check(request, progress);
        }
        if (!dryRun && ModelCard.in(folder).isEmpty() && ModelCard.describes(folder)) {
            OutputFile.require("the model card", folder.resolve(ModelCard.FILE_NAME));
        }
        long began = System.currentTimeMillis();
        CheckpointVerification verification = VerifyCommand.verify(terminal, folder, Optional.empty());
        if (!verification.findings().isEmpty()) {
            VerifyCommand.printFindings(terminal.err(), verification);
        }
        if (verification.errors() > 0) {
            terminal.note("nibble: " + folder + " has errors, nothing was sent; 'nibble verify " + folder
                    + "' shows them again");
            return ExitCode.BAD_INPUT;
        }
        Optional<String> unwritten = ModelCard.in(folder).isEmpty() ? card() : Optional.empty();
        PublishResult result;
        try (TransferProgress progress = new TransferProgress(terminal)) {
            Publisher publisher = new Publisher(settings);
            publisher.takeOver(request, verification.files(), began);
            result = publisher.publish(request, progress);
        }
        if (unwritten.isPresent()) {
            result = result.with(ModelCard.FILE_NAME, unwritten.get());
        }
        json.write(terminal, result);
        if (!json.toStandardOutput()) {
            print(result);
        }
        return ExitCode.DONE;
    }

    /**
     * Writes the card that the folder lacks; that of a model that Nibble neither quantized nor converted is its makers'
     * to write.
     *
     * @return in a dry run, the card that would be written
     */
    private Optional<String> card() {
        if (!ModelCard.describes(folder)) {
            terminal.note("no README.md: the repository will have no model card");
            return Optional.empty();
        }
        if (dryRun) {
            return Optional.of(ModelCard.render(card.request(folder, repo, branch)));
        }
        CardCommand.write(card.request(folder, repo, branch));
        terminal.note("written: " + folder.resolve(ModelCard.FILE_NAME)
                + ", the model card; edit it and publish again as you like");
        return Optional.empty();
    }

    private PublishRequest request() {
        How how = dryRun ? How.DRY_RUN : pullRequest ? How.PULL_REQUEST : How.COMMIT;
        try {
            return new PublishRequest(
                    folder,
                    RepoName.parse(repo),
                    branch,
                    privately ? Visibility.PRIVATE : Visibility.PUBLIC,
                    how,
                    deleteOld ? Leftovers.DELETE : Leftovers.KEEP,
                    message,
                    transfers);
        } catch (IllegalArgumentException e) {
            throw new UsageException(e.getMessage());
        }
    }

    private void print(PublishResult result) {
        List<List<String>> rows = new ArrayList<>();
        for (PublishedFile file : result.files()) {
            String need = file.need().name().toLowerCase(Locale.ROOT).replace('_', ' ');
            rows.add(List.of(file.path(), Figures.bytes(file.bytes()), need));
        }
        var out = terminal.out();
        new Table(List.of("file", "size", dryRun ? "would be" : "was"), rows)
                .lines()
                .forEach(out::println);
        if (!result.leftovers().isEmpty()) {
            out.println((deleteOld && !dryRun
                            ? "deleted: "
                            : "old weights in the repository, --delete-old-weights removes them: ")
                    + String.join(", ", result.leftovers()));
        }
        String made = result.created() ? "new repository, " : "";
        if (dryRun) {
            out.println("dry run: nothing was sent; " + made + result.url());
        } else if (!result.committed()) {
            out.println("nothing to change: " + result.repo() + " holds these files already, no "
                    + (pullRequest ? "pull request was opened; " : "commit was made; ") + result.url());
        } else {
            out.println(made + Figures.bytes(result.bytesSent()) + " sent; " + result.url());
        }
        out.flush();
    }
}
