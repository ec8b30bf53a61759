package s3

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"mailreplica/internal/fault"
	"mailreplica/internal/pause"
)

// A request that fails in a way that may pass is made again: attemptsMax times at most, and none begins later than RetryMax
// after the first. A server that is frozen is not asked again, since that was long already.
const (
	attemptsMax  = 12
	retryWait    = 50 * time.Millisecond // doubled each time, and half of it is random
	retryWaitMax = 500 * time.Millisecond

	serverTextBytesMax = 300
)

// errDamaged is an answer that is not what was stored, or not whole.
var errDamaged = errors.New("the bytes do not match their checksum")

// try makes a request until it succeeds, fails for good, or has taken too long. Its errors have a kind.
func (v *Volume) try(ctx context.Context, what string, request func(context.Context) error) error {
	start := time.Now()
	for attempt := 1; ; attempt++ {
		err := request(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return fault.Wrap(fault.Interrupted, ctx.Err(), "volume %s: interrupted", v.id)
		}
		wait := min(retryWait<<(attempt-1), retryWaitMax)
		wait = wait/2 + rand.N(wait/2)
		if !passing(err) || attempt == attemptsMax || time.Since(start)+wait > v.config.RetryMax || errors.Is(err, errDamaged) && attempt > 1 {
			return v.failed(err, what)
		}
		_ = pause.For(ctx, wait) // the request sees it, too
	}
}

// passing reports whether an error may not come again.
func passing(err error) bool {
	var refusal minio.ErrorResponse
	if errors.As(err, &refusal) {
		switch refusal.Code {
		case "RequestTimeout", "SlowDown", "InternalError", "ServiceUnavailable", "Throttling", "ThrottlingException",
			"OperationAborted", "ConditionalRequestConflict", "IncompleteBody", "BadDigest", "XAmzContentSHA256Mismatch":
			return true
		case "XMinioStorageFull", "InsufficientStorage":
			return false
		}
		return refusal.StatusCode >= 500 && refusal.StatusCode != http.StatusNotImplemented && refusal.StatusCode != http.StatusInsufficientStorage ||
			refusal.StatusCode == http.StatusTooManyRequests
	}
	var certificate *tls.CertificateVerificationError
	var name *net.DNSError
	switch {
	case errors.Is(err, errStalled), errors.As(err, &certificate):
		return false
	case errors.As(err, &name) && name.IsNotFound:
		return false
	}
	return true // a connection that was refused, cut, or answered too little
}

// refusals are the answers of S3 that an operator can act on.
var refusals = map[string]struct{ text, hint string }{
	"NoSuchBucket":                 {"the bucket does not exist", "make the bucket, or correct its name and its region"},
	"AccessDenied":                 {"access is denied", permissionsHint},
	"AllAccessDisabled":            {"access is disabled", permissionsHint},
	"AccountProblem":               {"the account of the access key has a problem", "look at the account at the provider"},
	"InvalidAccessKeyId":           {"the access key is not known", "correct access key and secret of the bucket"},
	"XAdminUserNotFound":           {"the access key is not known", "correct access key and secret of the bucket"}, // versitygw
	"SignatureDoesNotMatch":        {"the secret does not match the access key", "correct access key and secret of the bucket"},
	"InvalidToken":                 {"the access key is not accepted", "correct access key and secret of the bucket"},
	"ExpiredToken":                 {"the access key has expired", "make a new access key, and give it to the bucket"},
	"RequestTimeTooSkewed":         {"the clocks of the mailstore and of the server differ", "set the clock of the mailstore (NTP)"},
	"AuthorizationHeaderMalformed": {"the region is wrong", regionHint},
	"PermanentRedirect":            {"the bucket is in another region", regionHint},
	"TemporaryRedirect":            {"the bucket is in another region", regionHint},
	"InvalidRegion":                {"the region is wrong", regionHint},
	"MovedPermanently":             {"the bucket is in another region", regionHint},
	"QuotaExceeded":                {"the bucket is full", "raise the quota of the bucket, or free space"},
	"XMinioStorageFull":            {"the server is full", "free space on the S3 server"},
	"InsufficientStorage":          {"the server is full", "free space on the S3 server"},
	"SlowDown":                     {"the server asks for fewer requests", "the provider limits the rate of requests; spread the load, or raise the limit"},
	"InvalidObjectState":           {"the object was moved to an archive", "remove the lifecycle rule that archives objects, and restore those that it archived"},
	"KMS.DisabledException":        {"the bucket's encryption key is disabled", "enable the key that the bucket is encrypted with"},
}

const (
	permissionsHint = "the access key needs s3:GetObject, s3:PutObject, s3:DeleteObject, s3:AbortMultipartUpload on the objects, and s3:ListBucket, s3:ListBucketMultipartUploads on the bucket"
	regionHint      = "correct the region of the bucket"
)

// failed gives an error its kind. Its cause is the text alone, cleaned of credentials: what is below is never logged.
func (v *Volume) failed(err error, what string) *fault.Error {
	var refusal minio.ErrorResponse
	if !errors.As(err, &refusal) {
		return v.unreachable(err, what)
	}
	cause := v.cause(fmt.Sprintf("%s: S3 answers %d %s: %.*s (request %s)", what, refusal.StatusCode, refusal.Code, serverTextBytesMax, refusal.Message, refusal.RequestID))
	switch refusal.Code {
	case "EntityTooLarge":
		return fault.Wrap(fault.TooLarge, cause, "volume %s does not take a blob of that size", v.id)
	case "InvalidBucketName":
		return fault.Wrap(fault.Invalid, cause, "volume %s: %q cannot be the name of a bucket", v.id, v.config.Bucket).
			WithHint("correct the name of the bucket")
	case "NoSuchKey":
		return fault.Wrap(fault.NotFound, cause, "volume %s has no such blob", v.id)
	}
	known, ok := refusals[refusal.Code]
	switch {
	case ok:
	case refusal.StatusCode == http.StatusForbidden:
		known = refusals["AccessDenied"]
	case refusal.StatusCode >= 300 && refusal.StatusCode < 400:
		known = refusals["PermanentRedirect"]
	case refusal.StatusCode == http.StatusInsufficientStorage:
		known = refusals["InsufficientStorage"]
	default:
		return unavailable(cause, "volume %s: bucket %s at %s answers %d %.60s", v.id, v.config.Bucket, v.config.place(), refusal.StatusCode, v.clean(refusal.Code)).
			WithHint("carbonio core testS3Connection shows what of the bucket works")
	}
	hint := known.hint
	if known.hint == regionHint && refusal.Region != "" && refusal.Region != v.config.Region {
		hint = fmt.Sprintf("%s: it is %s, not %s", regionHint, v.clean(refusal.Region), v.config.Region)
	}
	return unavailable(cause, "volume %s: bucket %s at %s: %s", v.id, v.config.Bucket, v.config.place(), known.text).WithHint("%s", hint)
}

// unreachable is an error without an answer of S3.
func (v *Volume) unreachable(err error, what string) *fault.Error {
	cause := v.cause(what + ": " + err.Error())
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var name *net.DNSError
	switch place := v.config.place(); {
	case errors.Is(err, errDamaged):
		return unavailable(cause, "volume %s: a blob is damaged", v.id).
			WithHint("restore it from a backup, or from an older version if the bucket keeps versions; if all are, look at what is between mailstore and bucket")
	case errors.Is(err, errStalled):
		return unavailable(cause, "volume %s: %s does not answer", v.id, place).
			WithHint("check the S3 server and the network to it")
	case errors.As(err, &certificate):
		return unavailable(cause, "volume %s: the certificate of %s is not trusted", v.id, place).
			WithHint("give the CA that signed it, or correct the endpoint's host")
	case errors.As(err, &name):
		return unavailable(cause, "volume %s: %s has no address", v.id, place).WithHint("correct the endpoint, or check the DNS")
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return unavailable(cause, "volume %s: %s speaks no TLS", v.id, place).WithHint("correct the endpoint: http or https")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return unavailable(cause, "volume %s: %s cut an answer", v.id, place).WithHint("check the S3 server and the network to it")
	default:
		return unavailable(cause, "volume %s: %s cannot be reached", v.id, place).WithHint("check the S3 server and the network to it")
	}
}

func unavailable(cause error, format string, args ...any) *fault.Error {
	return fault.Wrap(fault.VolumeUnavailable, cause, format, args...)
}

func (v *Volume) cause(text string) error { return errors.New(v.clean(text)) }

// clean takes the credentials out of a text that a server or a proxy wrote: some repeat what they were sent.
func (v *Volume) clean(text string) string {
	return strings.NewReplacer(v.config.Secret, "SECRET", v.config.AccessKey, "ACCESS-KEY").Replace(text)
}

// codeOf is what S3 calls an error; empty if the error is not from S3.
func codeOf(err error) string {
	var refusal minio.ErrorResponse
	if errors.As(err, &refusal) {
		return refusal.Code
	}
	return ""
}
