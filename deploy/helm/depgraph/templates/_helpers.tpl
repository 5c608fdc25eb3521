{{- define "depgraph.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{ .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{- define "depgraph.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "depgraph.labels" -}}
{{ include "depgraph.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "depgraph.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "depgraph.name" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end -}}

{{- define "depgraph.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{/* The database as environment variables: a dictionary of the root and the secret's name. */}}
{{- define "depgraph.database" -}}
{{- $keys := .root.Values.database -}}
- name: DATABASE_URL
  valueFrom: {secretKeyRef: {name: {{ .secret }}, key: {{ $keys.urlKey }}}}
{{- if $keys.passwordKey }}
- name: PGPASSWORD
  valueFrom: {secretKeyRef: {name: {{ .secret }}, key: {{ $keys.passwordKey }}}}
{{- end }}
{{- end -}}

{{- define "depgraph.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001 # lets the server read the mounted secrets
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "depgraph.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* What a person has to decide; a sentence for each that is open. */}}
{{- define "depgraph.decided" -}}
{{- with .Values -}}
{{- if not .database.existingSecret -}}
{{- fail "database.existingSecret names no secret: create one whose key \"url\" holds the URL of a PostgreSQL" -}}
{{- end -}}
{{- if and (not .tls.existingSecret) (not .allowPlaintext) -}}
{{- fail "choose how callers connect: tls.existingSecret names a secret of type kubernetes.io/tls, or allowPlaintext=true if a mesh or proxy encrypts" -}}
{{- end -}}
{{- if and .tls.existingSecret .allowPlaintext -}}
{{- fail "tls.existingSecret and allowPlaintext=true contradict each other: leave one out" -}}
{{- end -}}
{{- if and .tls.clientCA.existingSecret (not .tls.existingSecret) -}}
{{- fail "tls.clientCA.existingSecret needs tls.existingSecret: client certificates come with TLS" -}}
{{- end -}}
{{- end -}}
{{- end -}}
