package nibble.hub;

import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import nibble.hub.client.HubSettings;
import nibble.hub.client.HubToken;
import nibble.hub.client.RepoName;
import nibble.hub.client.TransferListener;

/** Publishes a test's folder slowly, in a process that the test kills. */
final class PublishProcess {
    private PublishProcess() {}

    public static void main(String[] arguments) throws InterruptedException {
        Path temp = Path.of(arguments[1]);
        HubSettings settings = new HubSettings(
                URI.create(arguments[0]),
                temp.resolve("cache"),
                temp.resolve("state"),
                Optional.of(HubToken.of(FakeHub.TOKEN)),
                false);
        PublishRequest request = new PublishRequest(
                temp.resolve("model"),
                RepoName.parse("org/tiny-AWQ"),
                "main",
                PublishRequest.Visibility.PUBLIC,
                PublishRequest.How.COMMIT,
                PublishRequest.Leftovers.KEEP,
                "Upload",
                2);
        TransferListener slow = new TransferListener() {
            @Override
            public void stage(String what) {}

            @Override
            public void bytes(long done, long total) {
                try {
                    Thread.sleep(Duration.ofMillis(20));
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                }
            }
        };
        new Publisher(settings).publish(request, slow);
    }
}
