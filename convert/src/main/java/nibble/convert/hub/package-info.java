/**
 * A model hub that speaks Hugging Face's protocol: publishing a folder, downloading a repository, the shared cache.
 *
 * <p>Start at {@link nibble.convert.hub.Publisher} and {@link nibble.convert.hub.Downloader}; both take {@link
 * nibble.convert.hub.HubSettings}, which follow the environment variables that the hub's own tools read. Every request
 * goes through {@code HubHttp}, the one place that retries, waits for rate limits, follows redirects, and decides which
 * host gets the token: the endpoint's, no other. The tests' hub is as strict as the real one; {@code RealClientTest}
 * holds it against the hub's own client, and both clients against one cache: {@code mvn test
 * -Dnibble.hf.python=PYTHON}.
 */
@NullMarked
package nibble.convert.hub;

import org.jspecify.annotations.NullMarked;
