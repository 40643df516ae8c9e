package nibble.hub;

import java.net.URI;
import java.nio.file.Path;
import java.util.Optional;
import nibble.hub.client.HubSettings;
import nibble.hub.client.HubToken;
import nibble.hub.client.RepoName;
import nibble.hub.client.TransferListener;

/** Downloads in a process of its own, beside others. */
final class DownloadProcess {
    private DownloadProcess() {}

    public static void main(String[] arguments) {
        Path temp = Path.of(arguments[1]);
        HubSettings settings = new HubSettings(
                URI.create(arguments[0]),
                temp.resolve("cache"),
                temp.resolve("state"),
                Optional.of(HubToken.of(FakeHub.TOKEN)),
                false);
        System.out.println(new Downloader(settings)
                .download(RepoName.parse(arguments[2]), "main", Downloader.Selection.NEEDED, TransferListener.SILENT)
                .bytesReceived());
    }
}
