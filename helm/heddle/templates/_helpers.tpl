{{- define "heddle.controlPlane" -}}heddle-control-plane{{- end }}
{{- define "heddle.nodeProxy" -}}heddle-node-proxy{{- end }}

{{/* Selectors are never changed: name, instance and component. */}}
{{- define "heddle.selector" -}}
app.kubernetes.io/name: heddle
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "heddle.labels" -}}
{{ include "heddle.selector" . }}
app.kubernetes.io/part-of: heddle
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "heddle.image" -}}
{{- $registry := .Values.global.imageRegistry | default .Values.image.registry -}}
{{- $name := ternary .Values.image.repository (printf "%s/%s" $registry .Values.image.repository) (empty $registry) -}}
{{- if .Values.image.digest -}}{{ $name }}@{{ .Values.image.digest }}{{- else -}}{{ $name }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{- end -}}
{{- end }}

{{- define "heddle.pullSecrets" -}}
{{- with .Values.global.imagePullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{/* A container that needs nothing of its node. */}}
{{- define "heddle.harmless" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "heddle.resolvers" -}}
{{- if .Values.nodeProxy.resolvers -}}
{{ join "," .Values.nodeProxy.resolvers }}
{{- else -}}
{{- $dns := lookup "v1" "Service" "kube-system" "kube-dns" -}}
{{- $found := list -}}
{{- range (($dns.spec).clusterIPs) -}}
{{- $found = append $found (ternary (printf "[%s]:53" .) (printf "%s:53" .) (contains ":" .)) -}}
{{- end -}}
{{ join "," (default (list "10.96.0.10:53") $found) }}
{{- end -}}
{{- end }}
