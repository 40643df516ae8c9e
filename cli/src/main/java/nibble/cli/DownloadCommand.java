package nibble.cli;

import java.util.concurrent.Callable;
import nibble.convert.hub.Downloader;
import nibble.convert.hub.Downloader.Download;
import nibble.convert.hub.Downloader.Selection;
import nibble.convert.hub.HubSettings;
import nibble.convert.hub.RepoName;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
        name = "download",
        description = "Brings a repository of the hub into the cache that the hub's own tools share, and prints the folder."
                + " Goes on where it stopped; every file's hash is checked.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class DownloadCommand implements Callable<Integer> {
    private final Terminal terminal;

    @Parameters(paramLabel = "ORG/NAME", description = "The repository.")
    private String name = "";

    @Option(
            names = {"--branch", "--revision"},
            paramLabel = "BRANCH",
            defaultValue = "main",
            description = "Branch, tag or commit. Default: ${DEFAULT-VALUE}.")
    private String branch = "main";

    @Option(
            names = "--all",
            description = "Copies of the weights in other formats too (PyTorch, GGUF, ONNX). Default: not where there are"
                    + " safetensors.")
    private boolean all;

    @Mixin
    private HubOptions hub = new HubOptions();

    @Mixin
    private JsonOption json = new JsonOption();

    DownloadCommand(Terminal terminal) {
        this.terminal = terminal;
    }

    record Report(String repo, String revision, String commit, String folder, int files, long bytes, long bytesReceived) {}

    @Override
    public Integer call() {
        json.requireWritable();
        HubSettings settings = hub.settings(terminal);
        Download download;
        try (TransferProgress progress = new TransferProgress(terminal)) {
            RepoName repo = RepoName.parse(name);
            download = new Downloader(settings).download(repo, branch, all ? Selection.ALL : Selection.NEEDED, progress);
        } catch (IllegalArgumentException e) {
            throw new UsageException(e.getMessage());
        }
        json.write(
                terminal,
                new Report(
                        name,
                        branch,
                        download.commit(),
                        download.folder().toString(),
                        download.files(),
                        download.bytes(),
                        download.bytesReceived()));
        if (!json.toStandardOutput()) {
            terminal.note(download.files() + " files, " + Figures.bytes(download.bytes()) + ", of which "
                    + Figures.bytes(download.bytesReceived()) + " were received; commit " + download.commit());
            terminal.out().println(download.folder());
            terminal.out().flush();
        }
        return ExitCode.DONE;
    }
}
