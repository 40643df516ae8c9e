package nibble.cli.command;

import java.util.concurrent.Callable;
import nibble.cli.option.HubOptions;
import nibble.cli.option.JsonOption;
import nibble.cli.option.UsageException;
import nibble.cli.terminal.ExitCode;
import nibble.cli.terminal.Figures;
import nibble.cli.terminal.Terminal;
import nibble.cli.terminal.TransferProgress;
import nibble.hub.Downloader;
import nibble.hub.Downloader.Download;
import nibble.hub.Downloader.Selection;
import nibble.hub.ModelName;
import nibble.hub.client.HubSettings;
import nibble.hub.client.RepoName;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
        name = "download",
        description =
                "Downloads a repository into the cache that the hub's own tools share, and prints the folder or the"
                        + " file. Resumes a stopped download and checks every file's hash.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class DownloadCommand implements Callable<Integer> {
    private final Terminal terminal;

    @Parameters(
            paramLabel = "ORG/NAME[@BRANCH][:FILE]",
            description =
                    "The repository. FILE picks one of several GGUF files by its name or a part of it, such as Q4_K_M.")
    private String name = "";

    @Option(
            names = {"--branch", "--revision"},
            paramLabel = "BRANCH",
            description = "Branch, tag or commit. Default: main.")
    private @Nullable String branch;

    @Option(
            names = "--all",
            description =
                    "All files, including copies of the weights in other formats. Default: one copy of the weights.")
    private boolean all;

    @Mixin
    private HubOptions hub = new HubOptions();

    @Mixin
    private JsonOption json = new JsonOption();

    DownloadCommand(Terminal terminal) {
        this.terminal = terminal;
    }

    /** @param model what to give other commands: the folder, or the file that was asked for */
    record Report(
            String repo,
            String revision,
            String commit,
            String folder,
            String model,
            int files,
            long bytes,
            long bytesReceived) {}

    @Override
    public Integer call() {
        json.requireWritable();
        HubSettings settings = hub.settings(terminal);
        ModelName model = new ModelName(name);
        RepoName repo = model.named()
                .orElseThrow(() -> new UsageException("\"" + name + "\" is not a repository name; write"
                        + " ORG/NAME, with a branch as ORG/NAME@BRANCH, with a file as ORG/NAME:FILE"));
        String revision = revision(model);
        Selection selection = selection(model);
        Download download;
        try (TransferProgress progress = new TransferProgress(terminal)) {
            download = new Downloader(settings).download(repo, revision, selection, progress);
        } catch (IllegalArgumentException e) {
            throw new UsageException(e.getMessage());
        }
        json.write(
                terminal,
                new Report(
                        repo.toString(),
                        revision,
                        download.commit(),
                        download.folder().toString(),
                        download.model().toString(),
                        download.files(),
                        download.bytes(),
                        download.bytesReceived()));
        if (!json.toStandardOutput()) {
            terminal.note(download.files() + " files, " + Figures.bytes(download.bytes()) + ", of which "
                    + Figures.bytes(download.bytesReceived()) + " were received; commit " + download.commit());
            terminal.out().println(download.model());
            terminal.out().flush();
        }
        return ExitCode.DONE;
    }

    private String revision(ModelName model) {
        if (branch != null && model.hasRevision() && !branch.equals(model.revision())) {
            throw new UsageException(name + " and --branch " + branch + " name two branches; give one");
        }
        return branch != null ? branch : model.revision();
    }

    private Selection selection(ModelName model) {
        if (all && model.selection().kind() == Selection.Kind.FILE) {
            throw new UsageException(name + " names one file and --all asks for every one; give one of both");
        }
        return all ? Selection.ALL : model.selection();
    }
}
